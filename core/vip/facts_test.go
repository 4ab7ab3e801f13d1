package vip

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

var eth0Addresses = source{kind: kindAddress, iface: "eth0"}

// slowKernel takes a second for a list, of which every one is longer than the
// one before.
type slowKernel struct {
	AddressTable
	mu    sync.Mutex
	reads int
	err   error
}

func (k *slowKernel) ListAddresses(string) ([]inet.Address, error) {
	k.mu.Lock()
	all := make([]inet.Address, 0, k.reads+1)
	k.reads++
	for _, p := range prefixes(many(k.reads)...) {
		all = append(all, inet.Address{Prefix: p})
	}
	err := k.err
	k.mu.Unlock()
	time.Sleep(time.Second)
	return all, err
}

func TestReadsAreSharedButNeverOlderThanTheQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kernel := &slowKernel{}
		f := newFacts(Kernel{Addresses: kernel})
		type answer struct{ asked, got int }
		answers := make(chan answer)
		ask := func() {
			kernel.mu.Lock()
			asked := kernel.reads
			kernel.mu.Unlock()
			got, err := f.read(eth0Addresses)
			if err != nil {
				t.Errorf("read: %v", err)
			}
			answers <- answer{asked, len(got.addresses)}
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
		f := newFacts(Kernel{Addresses: kernel})
		start := time.Now()
		var wait sync.WaitGroup
		for _, iface := range []string{"eth0", "eth1", "eth2"} {
			wait.Go(func() {
				if _, err := f.read(source{kind: kindAddress, iface: iface}); !errors.Is(err, errRefused) {
					t.Errorf("read of %s: %v", iface, err)
				}
			})
		}
		wait.Wait()
		if took := time.Since(start); took != time.Second {
			t.Errorf("three interfaces took %s, want one second", took)
		}
		kernel.err = nil
		if _, err := f.read(eth0Addresses); err != nil {
			t.Errorf("after the error: %v", err)
		}
	})
}

// A list that changes while it is read would have to be read again: reads wait
// for the changes that are under way, but not for ever.
func TestReadsWaitForChanges(t *testing.T) {
	for _, row := range []struct{ change, read time.Duration }{
		{10 * time.Millisecond, 10 * time.Millisecond},
		{time.Hour, readPatience},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFacts(Kernel{Addresses: &slowKernel{}})
			start := time.Now()
			var wait sync.WaitGroup
			for i := range 3 {
				wait.Go(func() {
					err := f.change(eth0Addresses, func() error {
						time.Sleep(row.change * time.Duration(i+1) / 3)
						return errRefused
					})
					if !errors.Is(err, errRefused) {
						t.Errorf("change: %v", err)
					}
				})
			}
			synctest.Wait()
			if _, err := f.read(eth0Addresses); err != nil {
				t.Error(err)
			}
			if took, want := time.Since(start), row.read+time.Second; took != want {
				t.Errorf("a read beside changes of %s took %s, want %s", row.change, took, want)
			}
			wait.Wait()
			start = time.Now()
			if _, err := f.read(eth0Addresses); err != nil || time.Since(start) != time.Second {
				t.Errorf("a read afterwards took %s: %v", time.Since(start), err)
			}
		})
	}
}
