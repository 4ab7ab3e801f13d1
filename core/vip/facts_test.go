package vip

import (
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// slowKernel takes a second for a list, of which every one is longer than the
// one before.
type slowKernel struct {
	Kernel
	mu    sync.Mutex
	reads int
	err   error
}

func (k *slowKernel) Addresses(string) (all, marked []netip.Prefix, err error) {
	k.mu.Lock()
	k.reads++
	all = prefixes(many(k.reads)...)
	err = k.err
	k.mu.Unlock()
	time.Sleep(time.Second)
	return all, all[:1], err
}

func TestReadsAreSharedButNeverOlderThanTheQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kernel := &slowKernel{}
		f := facts{kernel: kernel}
		type answer struct{ asked, got int }
		answers := make(chan answer)
		ask := func() {
			kernel.mu.Lock()
			asked := kernel.reads
			kernel.mu.Unlock()
			got, err := f.read("eth0")
			if err != nil || len(got.marked) != 1 {
				t.Errorf("read: %v, %v", got.marked, err)
			}
			answers <- answer{asked, len(got.all)}
		}
		const askers = 200
		for i := range askers {
			go func() {
				time.Sleep(time.Duration(i) * 10 * time.Millisecond)
				ask()
			}()
		}
		for range askers {
			if a := <-answers; a.got <= a.asked {
				t.Errorf("asked when %d reads had begun, and got number %d", a.asked, a.got)
			}
		}
		if kernel.reads > 4 {
			t.Errorf("%d reads for %d questions within two seconds, want a few", kernel.reads, askers)
		}
	})
}

func TestReadsOfInterfacesAreIndependentAndErrorsAreNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kernel := &slowKernel{err: errRefused}
		f := facts{kernel: kernel}
		start := time.Now()
		var wait sync.WaitGroup
		for _, iface := range []string{"eth0", "eth1", "eth2"} {
			wait.Go(func() {
				if _, err := f.read(iface); !errors.Is(err, errRefused) {
					t.Errorf("read of %s: %v", iface, err)
				}
			})
		}
		wait.Wait()
		if took := time.Since(start); took != time.Second {
			t.Errorf("three interfaces took %s, want one second", took)
		}
		kernel.err = nil
		if _, err := f.read("eth0"); err != nil {
			t.Errorf("after the error: %v", err)
		}
	})
}
