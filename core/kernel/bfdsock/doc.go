// Package bfdsock holds the UDP sockets of Bidirectional Forwarding Detection.
//
// Receiver is one of the ports that packets come to, for all sessions of a family:
// 3784 over one hop (RFC 5881), 4784 over several (RFC 5883). Sender is what one
// session sends through, from a source port of its own.
//
// The package decides nothing: it does not know what a packet says, and leaves it
// to the session how many hops one may have come over. Each type says from which
// goroutines it may be used. All sockets belong to the network namespace of the
// thread that opened them. No privilege is needed.
//
// Read Receiver first.
package bfdsock
