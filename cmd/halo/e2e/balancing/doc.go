// Package balancing holds the end-to-end tests of halo's balancing: the whole
// daemon with real IPVS, real packets and real servers behind real checks. They
// run in the test kernel; ipvsadm is the independent reader of the table. What else
// needs that kernel, such as a VRF, is here as well. It
// contains tests only.
//
// site_test.go has the network they run on; read it first.
package balancing
