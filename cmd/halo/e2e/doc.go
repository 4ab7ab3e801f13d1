// Package e2e holds the end-to-end tests of the halo binary: real processes in
// real network namespaces, with Keepalived as a live peer, real servers behind
// real checks, and, in the test kernel, real IPVS. It contains tests only.
//
// router_test.go has the two kinds of router the election tests are made of;
// read it first.
package e2e
