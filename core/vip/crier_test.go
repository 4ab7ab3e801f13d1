package vip

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
)

// Hundreds of instances become active at once: all their addresses are
// reachable before any of them repeats itself.
func TestAnnouncementsArePacedAndFair(t *testing.T) {
	run(t, func(b *bench) {
		const instances, addresses, repeat = 255, 8, 5
		for i := range instances {
			list := make([]string, 0, addresses)
			for j := range addresses {
				list = append(list, fmt.Sprintf("10.0.%d.%d/32", i, j+1))
			}
			b.instance(fmt.Sprintf("VI_%d", i), list...)
		}
		start := time.Now()
		for i := range instances {
			name := fmt.Sprintf("VI_%d", i)
			b.Acquire(name)
			b.Announce(name, Burst{Repeat: repeat})
		}
		time.Sleep(5 * time.Second)
		sent := b.kernel.Sent()
		if len(sent) != instances*addresses*repeat {
			b.Fatalf("%d packets, want %d", len(sent), instances*addresses*repeat)
		}
		round := make(map[string]int)
		perMillisecond := make(map[time.Time]int)
		for i, s := range sent {
			round[s.Address.String()]++
			perMillisecond[s.At.Truncate(time.Millisecond)]++
			// All first packets come before any second one.
			if i < instances*addresses && round[s.Address.String()] > 1 {
				b.Fatalf("packet %d is the second one for %s", i, s.Address)
			}
		}
		for at, n := range perMillisecond {
			if n > reserve+rate {
				b.Errorf("%d packets in the millisecond %s after the start", n, at.Sub(start))
			}
		}
		first, last := sent[instances*addresses-1].At.Sub(start), sent[len(sent)-1].At.Sub(start)
		if first > 60*time.Millisecond || last > time.Second {
			b.Errorf("every address was announced once after %s and all done after %s", first, last)
		}
	})
}

func TestRoundsAreApart(t *testing.T) {
	run(t, func(b *bench) {
		b.instance("VI_1", "192.0.2.10/24")
		b.Acquire("VI_1")
		b.Announce("VI_1", Burst{Repeat: 5})
		time.Sleep(time.Second)
		sent := b.kernel.Sent()
		if len(sent) != 5 {
			b.Fatalf("%d packets, want 5", len(sent))
		}
		for i := 1; i < len(sent); i++ {
			if pause := sent[i].At.Sub(sent[i-1].At); pause < roundPause {
				b.Errorf("%s between packets %d and %d, want at least %s", pause, i-1, i, roundPause)
			}
		}
	})
}

func TestANewBurstReplacesTheOldOne(t *testing.T) {
	run(t, func(b *bench) {
		b.instance("VI_1", "192.0.2.10/24")
		b.Acquire("VI_1")
		b.Announce("VI_1", Burst{Repeat: 100})
		b.settle()
		b.Announce("VI_1", Burst{Repeat: 3})
		time.Sleep(time.Minute)
		if n := len(b.kernel.Sent()); n < 4 || n > 6 {
			b.Errorf("%d packets, want those of 30 ms and three more", n)
		}
	})
}

// An interface that sends nothing delays only itself.
func TestInterfacesDoNotDelayEachOther(t *testing.T) {
	run(t, func(b *bench) {
		b.kernel.AddLink("eth1")
		release := b.kernel.Hang(kerneltest.CallAnnounce)
		b.instance("VI_1", "192.0.2.10/24")
		b.Acquire("VI_1")
		b.Announce("VI_1", Burst{Repeat: 1})
		b.settle()
		// eth0's lane hangs in the kernel; eth1's finds it mended.
		b.kernel.Hang(kerneltest.CallAnnounce)()
		b.Set(Instance{Name: "VI_2", Interface: "eth1", Addresses: plain("198.51.100.10/24")})
		b.Acquire("VI_2")
		b.Announce("VI_2", Burst{Repeat: 1})
		b.settle()
		if got := b.kernel.String(); !strings.Contains(got, "announced eth1 198.51.100.10 x1") || strings.Contains(got, "announced eth0") {
			b.Errorf("kernel is\n%s", got)
		}
		release()
		b.settle()
		if got := b.kernel.String(); !strings.Contains(got, "announced eth0 192.0.2.10 x1") {
			b.Errorf("kernel is\n%s", got)
		}
	})
}

func TestAnnouncingFails(t *testing.T) {
	run(t, func(b *bench) {
		b.instance("VI_1", "192.0.2.10/24")
		b.kernel.Fail(kerneltest.CallAnnounce, 3, syscall.ENETDOWN)
		b.Acquire("VI_1")
		b.Announce("VI_1", Burst{Repeat: 5})
		time.Sleep(time.Second)
		b.want(eth0, own, vip1, "announced eth0 192.0.2.10 x2")
		if s := b.Snapshot()["VI_1"]; s.Announced != 2 || s.Lost {
			b.Errorf("status %+v", s)
		}
		if n := strings.Count(b.logs.take(), "cannot announce addresses"); n != 1 {
			b.Errorf("logged %d times, want once for a row of failures", n)
		}
		b.kernel.Fail(kerneltest.CallAnnounce, 1, errors.New("again"))
		b.Announce("VI_1", Burst{Repeat: 1})
		b.settle()
		if n := strings.Count(b.logs.take(), "cannot announce addresses"); n != 1 {
			b.Errorf("a later failure was logged %d times", n)
		}
	})
}
