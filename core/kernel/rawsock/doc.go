// Package rawsock holds the raw sockets halo needs, and a timer that is as
// exact as the kernel's.
//
// VRRP is the socket of one interface and address family: it sends and receives
// IP protocol 112, or 51 for advertisements with an authentication header, to the
// group or to peers. ARP and NA announce where IPv4 and IPv6 addresses are, and
// Announcer both on many links. ConflictWatch hears who else claims an address.
// Alarm is a timer on a timerfd, because the runtime's own timers may be a
// millisecond late.
//
// The package decides nothing: it does not know what an advertisement says, when
// one is due or who may send one. Each type says from which goroutines it may be
// used. All sockets belong to the network namespace of the thread that opened
// them. A privilege that is missing is named in the error, with what it is for and
// how to grant it.
//
// Read VRRP first.
package rawsock
