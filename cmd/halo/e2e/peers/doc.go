// Package peers holds the matrix of live peers: halo, Keepalived and FRR's
// vrrpd in one network, each in each role, in each form of the protocol that
// they share, through everything that can happen to a router or to the network
// between them. It contains tests only.
//
// What crosses the network is captured, and read by tshark, which shares no
// code with any of them.
//
// table_test.go is the matrix; read it first. The files of scenes have what
// happens in each of its cells.
package peers
