/* MLflow 3 (uvicorn) writes an answer in two pieces on a socket without
 * TCP_NODELAY: the second waits for our acknowledgement of the first (Nagle),
 * which the kernel delays by 40 ms once a connection looks like a dialogue. So
 * a kept connection was slower than a new one. Asking for quick acknowledgement
 * is good for the next segments only, hence again after every wake-up. */
#define _GNU_SOURCE
#include "net/quick_ack.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

void rt_acknowledge_quickly(int socket)
{
#if defined(TCP_QUICKACK)
    int on = 1;
    (void)setsockopt(socket, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
#else
    (void)socket;
#endif
}
