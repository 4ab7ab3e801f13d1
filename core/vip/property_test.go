package vip

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
	"github.com/halo-ha/halo/core/kernel/rtnl/inet"
)

// operations are what can happen to two instances on eth0, one of which shares
// an address with the other and has a route and a rule. Each is followed by a
// pause, short or long.
func operations() map[string]func(*bench) {
	all := map[string]func(*bench){
		"link deleted":   func(b *bench) { b.kernel.DelLink("eth0") },
		"link recreated": func(b *bench) { b.kernel.DelLink("eth0"); b.kernel.AddLink("eth0", "192.0.2.1/24") },
		"adding fails":   func(b *bench) { b.kernel.Fail(kerneltest.CallAdd, 3, errRefused) },
		"deleting fails": func(b *bench) { b.kernel.Fail(kerneltest.CallDelete, 3, errRefused) },
		"reading fails":  func(b *bench) { b.kernel.Fail(kerneltest.CallList, 3, errRefused) },
		"vanishes":       func(b *bench) { b.kernel.Vanish("192.0.2.10/24", 2) },
		"view is late":   func(b *bench) { b.LinksChanged(nil); b.RoutingChanged(nil, nil) },

		"routes cannot be put":     func(b *bench) { b.kernel.Fail(kerneltest.CallPutRoutes, 3, errRefused) },
		"routes cannot be deleted": func(b *bench) { b.kernel.Fail(kerneltest.CallDeleteRoutes, 3, errRefused) },
		"routes cannot be read":    func(b *bench) { b.kernel.Fail(kerneltest.CallListRoutes, 3, errRefused) },
		"rules cannot be put":      func(b *bench) { b.kernel.Fail(kerneltest.CallPutRules, 3, errRefused) },
		"route taken":              func(b *bench) { b.kernel.DropRoutes(vroute) },
		"rule taken":               func(b *bench) { b.kernel.DropRules(vrule) },
		"rule put":                 func(b *bench) { _ = b.kernel.PutRules([]inet.Rule{vrule}) },
		"label changed":            func(b *bench) { b.kernel.Alter("eth0", altered) },
		"link down and up":         func(b *bench) { b.kernel.SetLink("eth0", false); b.kernel.SetLink("eth0", true) },
	}
	for _, name := range []string{"VI_1", "VI_2"} {
		all[name+" acquires"] = func(b *bench) { b.Acquire(name) }
		all[name+" releases"] = func(b *bench) { b.Release(name) }
		all[name+" announces"] = func(b *bench) { b.Announce(name, Burst{Repeat: 2}) }
		all[name+" is removed"] = func(b *bench) { b.Remove(name) }
		all[name+" has two"] = func(b *bench) { b.Set(twoAddresses(name)) }
		all[name+" has one"] = func(b *bench) { b.Set(oneAddress(name)) }
	}
	for _, address := range []string{"192.0.2.10/24", "192.0.2.11/24"} {
		all[address+" taken"] = func(b *bench) { b.kernel.Take("eth0", address) }
		all[address+" put"] = func(b *bench) {
			if !strings.Contains(b.kernel.String(), address) {
				b.kernel.Put("eth0", address)
			}
		}
	}
	return all
}

// altered is an address with a label that nobody wants.
var altered = inet.Address{Prefix: netip.MustParsePrefix("192.0.2.10/24"), Label: "eth0:9"}

// twoAddresses are an address, an excluded one, a route and a rule.
func twoAddresses(name string) Instance {
	return Instance{
		Name: name, Interface: "eth0", Addresses: plain("192.0.2.10/24"), Excluded: plain("192.0.2.11/24"),
		Routes: []Route{{vroute, name == "VI_1"}}, Rules: []Rule{{vrule, false}},
	}
}

func oneAddress(name string) Instance {
	return Instance{Name: name, Interface: "eth0", Addresses: plain("192.0.2.10/24")}
}

// Whatever happens: once it stops happening, the interface has the addresses
// of the instances that hold theirs, and the machine's own.
func TestInterfaceAndWishMeetInTheEnd(t *testing.T) {
	all := operations()
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	type step struct {
		Name  string
		Pause time.Duration
	}
	one := rapid.Custom(func(rt *rapid.T) step {
		return step{
			rapid.SampledFrom(names).Draw(rt, "operation"),
			rapid.SampledFrom([]time.Duration{0, time.Microsecond, 25 * time.Millisecond, time.Second, 20 * time.Second}).Draw(rt, "pause"),
		}
	})
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(one, 1, 40).Draw(rt, "steps")
		var err error
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			defer b.end()
			b.Set(twoAddresses("VI_1"))
			b.Set(oneAddress("VI_2"))
			b.Release("VI_1")
			b.Release("VI_2")
			for _, s := range steps {
				all[s.Name](b)
				time.Sleep(s.Pause)
			}
			err = b.meets()
		})
		if err != nil {
			rt.Fatal(err)
		}
	})
}

// meets settles an outcome and checks it.
func (b *bench) meets() error {
	// All that was injected ends, and both instances get a last word.
	for _, call := range []kerneltest.Call{
		kerneltest.CallAdd, kerneltest.CallDelete, kerneltest.CallList,
		kerneltest.CallPutRoutes, kerneltest.CallDeleteRoutes, kerneltest.CallListRoutes, kerneltest.CallPutRules,
	} {
		b.kernel.Fail(call, 0, nil)
	}
	b.kernel.Vanish("192.0.2.10/24", 0)
	b.kernel.DelLink("eth0")
	b.kernel.AddLink("eth0", "192.0.2.1/24", "192.0.2.11/24")
	b.Set(twoAddresses("VI_1"))
	b.Set(oneAddress("VI_2"))
	for i, want := range []struct {
		first, second func(string)
		addresses     []string
	}{
		{b.Release, b.Release, []string{own}},
		{b.Release, b.Acquire, []string{own, vip1}},
		{b.Acquire, b.Release, []string{own, vip1, vip2, routeLine, ruleLine}},
		{b.Acquire, b.Acquire, []string{own, vip1, vip2, routeLine, ruleLine}},
		{b.Release, b.Acquire, []string{own, vip1}},
	} {
		want.first("VI_1")
		want.second("VI_2")
		time.Sleep(2 * holdDownMax) // Longer than any pause there is.
		b.kernel.Forget()
		_, got, _ := strings.Cut(strings.TrimSpace(b.kernel.String()), "\n")
		if wanted := strings.Join(want.addresses, "\n"); got != wanted {
			return fmt.Errorf("outcome %d: addresses are\n%s\nwant\n%s", i, got, wanted)
		}
	}
	b.Remove("VI_1")
	b.Remove("VI_2")
	time.Sleep(time.Minute)
	if got := b.kernel.String(); strings.Contains(got, vip1) || strings.Contains(got, "halo") || !strings.Contains(got, own) {
		return fmt.Errorf("after removing both instances:\n%s", got)
	}
	if left := len(b.Snapshot()); left != 0 {
		return errors.New("removed instances are still there")
	}
	if len(b.claims) != 0 {
		return fmt.Errorf("claims are left: %v", b.claims)
	}
	return nil
}
