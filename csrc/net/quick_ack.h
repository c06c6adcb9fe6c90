/* An answer that comes in pieces, without the kernel's pause between them. */
#ifndef RT_NET_QUICK_ACK_H
#define RT_NET_QUICK_ACK_H

/* What comes next on the TCP socket is acknowledged at once; nothing where the system
 * knows no such thing. */
void rt_acknowledge_quickly(int socket);

#endif
