// Package bfdkernel gives a driver's tests the real BFD sockets of a network
// namespace, and the real alarm.
//
// It stands beside kerneltest, and not in it, because drivers may not import the
// kernel's edge and the edge's own tests import kerneltest. It opens what it is
// asked for and keeps nothing.
package bfdkernel

import (
	"github.com/halo-ha/halo/core/bfd"
	"github.com/halo-ha/halo/core/kernel/bfdsock"
	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/kernel/rawsock"
)

// Listen opens a receiving socket in n.
func Listen(n *kerneltest.Namespace, multihop, ipv6 bool, ready chan<- struct{}) (r *bfdsock.Receiver, err error) {
	err = n.Do(func() (err error) {
		r, err = bfdsock.Listen(multihop, ipv6, ready)
		return err
	})
	return r, err
}

// Dial opens the socket of a session in n.
func Dial(n *kerneltest.Namespace, path bfd.Path) (s *bfdsock.Sender, err error) {
	err = n.Do(func() (err error) {
		s, err = bfdsock.Dial(path)
		return err
	})
	return s, err
}

// Alarm makes a timer.
func Alarm() (*rawsock.Alarm, error) { return rawsock.NewAlarm() }
