// Package rawsock holds the raw sockets halo needs, and a timer that is as
// exact as the kernel's.
//
// VRRP is the socket of one interface: it sends and receives IP protocol 112.
// ARP sends gratuitous ARP. Alarm is a timer on a timerfd, because the
// runtime's own timers may be a millisecond late.
//
// The package decides nothing: it does not know what an advertisement says or
// when one is due. Each type says from which goroutines it may be used. All
// sockets belong to the network namespace of the thread that opened them. A
// privilege that is missing is named in the error, with what it is for and how
// to grant it.
//
// Read VRRP first.
package rawsock
