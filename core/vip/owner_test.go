package vip

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/halo-ha/halo/core/kernel/kerneltest"
)

// bench is an Owner over a kernel in memory, inside a synctest bubble.
type bench struct {
	*testing.T
	*Owner
	kernel *kerneltest.Kernel
	logs   *lines
	events *lines
	end    func() // ends Run and waits for it
}

// run runs a test in virtual time. The kernel has eth0 with the machine's own
// address; the Owner ends with the test.
func run(t *testing.T, test func(*bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		test(b)
		b.end()
	})
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{T: t, kernel: kerneltest.NewKernel(), logs: &lines{}, events: &lines{}}
	b.kernel.AddLink("eth0", "192.0.2.1/24")
	log := slog.New(slog.NewTextHandler(b.logs, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
	b.Owner = New(Kernel{b.kernel, b.kernel, b.kernel}, b.kernel, observer{b.events}, log)
	b.kernel.Watch(func(states []kerneltest.LinkState) {
		links := make([]Link, len(states))
		for i, s := range states {
			links[i] = Link{Name: s.Name, Index: s.Index, Addresses: s.Addresses}
		}
		b.LinksChanged(links)
	})
	b.kernel.WatchRouting(b.RoutingChanged)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Owner.Run(ctx) }()
	b.end = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
	synctest.Wait()
	return b
}

// observer writes what it hears as lines.
type observer struct{ *lines }

func (o observer) Drifted(d Drift) {
	o.add("drift %s %s %s %v", d.Instance, d.Cause, brief(d.Entries()), d.Err)
}
func (o observer) Lost(instance string, reason error) { o.add("lost %s: %v", instance, reason) }
func (o observer) Restored(instance string)           { o.add("restored %s", instance) }

// lines collects text from many goroutines.
type lines struct {
	mu   sync.Mutex
	text []string
}

func (l *lines) add(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, fmt.Sprintf(format, args...))
}

func (l *lines) Write(p []byte) (int, error) {
	l.add("%s", strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}

// take returns what was collected and forgets it.
func (l *lines) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := strings.Join(l.text, "\n")
	l.text = nil
	return text
}

// settle lets everything happen that is due now and in the next 30 ms, in
// which links are compared.
func (b *bench) settle() {
	b.Helper()
	time.Sleep(30 * time.Millisecond)
	synctest.Wait()
}

// instance sets an instance on eth0 with the given addresses.
func (b *bench) instance(name string, addresses ...string) {
	b.Helper()
	b.Set(Instance{Name: name, Interface: "eth0", Addresses: plain(addresses...), Repeat: 2})
	synctest.Wait()
}

// want checks the kernel's state.
func (b *bench) want(lines ...string) {
	b.Helper()
	got := strings.TrimSuffix(b.kernel.String(), "\n")
	if want := strings.Join(lines, "\n"); got != want {
		b.Errorf("kernel is\n%s\nwant\n%s", got, want)
	}
}

// wantEvents checks what the observer heard since the last time.
func (b *bench) wantEvents(want ...string) {
	b.Helper()
	if got := b.events.take(); got != strings.Join(want, "\n") {
		b.Errorf("observer heard\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

// wantJournal checks which changes were asked of the kernel since the last
// time.
func (b *bench) wantJournal(want ...string) {
	b.Helper()
	if got := b.kernel.Journal(); got != strings.Join(want, "\n") {
		b.Errorf("kernel was asked\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	b.kernel.Forget()
}

func prefixes(text ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(text))
	for i, s := range text {
		list[i] = netip.MustParsePrefix(s)
	}
	return list
}

// plain are addresses of which nothing else is to be said.
func plain(text ...string) []Address { return Plain(prefixes(text...)...) }

// many are n /32 addresses.
func many(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("10.0.%d.%d/32", i/250, i%250+1)
	}
	return list
}

const (
	eth0 = "link eth0 2 up"
	own  = "address eth0 192.0.2.1/24"
	vip1 = "address eth0 192.0.2.10/24"
	vip2 = "address eth0 192.0.2.11/24"
)

//rfc:9568/6.4.3-1 positive negative
//rfc:9568/8.1.2-4 positive
//rfc:3768/6.4.3-1 positive negative
func TestAcquireAnnounceRelease(t *testing.T) {
	run(t, func(b *bench) {
		b.instance("VI_1", "192.0.2.10/24", "192.0.2.11/24")
		b.settle()
		b.want(eth0, own)
		b.wantJournal()

		b.Acquire("VI_1")
		b.Announce("VI_1", Burst{Repeat: 5})
		time.Sleep(time.Second)
		b.want(eth0, own, vip1, vip2, "announced eth0 192.0.2.10 x5", "announced eth0 192.0.2.11 x5")
		b.wantJournal("put eth0 192.0.2.10/24 192.0.2.11/24")

		b.Release("VI_1")
		b.settle()
		b.want(eth0, own)
		b.wantJournal("delete eth0 192.0.2.10/24 192.0.2.11/24")
		b.wantEvents()
		if logs := b.logs.take(); logs != "" {
			b.Errorf("ordinary work was logged:\n%s", logs)
		}
	})
}

func TestEveryOrderOfNotesEndsInTheLastOne(t *testing.T) {
	run(t, func(b *bench) {
		b.instance("VI_1", "192.0.2.10/24")
		for range 20 {
			b.Acquire("VI_1")
			b.Announce("VI_1", Burst{Repeat: 1})
			b.Release("VI_1")
		}
		b.settle()
		b.kernel.Forget() // What was announced while it was held for a moment.
		b.want(eth0, own)
		for range 20 {
			b.Release("VI_1")
			b.Acquire("VI_1")
		}
		b.settle()
		b.want(eth0, own, vip1)
		b.wantEvents()
	})
}

// The speaker's calls must not wait for a kernel that does not answer.
func TestCallsDoNotWaitForTheKernel(t *testing.T) {
	for _, call := range []kerneltest.Call{kerneltest.CallList, kerneltest.CallAdd, kerneltest.CallDelete, kerneltest.CallAnnounce} {
		t.Run(string(call), func(t *testing.T) {
			run(t, func(b *bench) {
				b.instance("VI_1", "192.0.2.10/24")
				b.instance("VI_2", "192.0.2.11/24")
				b.Acquire("VI_2")
				b.settle()
				release := b.kernel.Hang(call)
				before := time.Now()
				for range 3 {
					b.Acquire("VI_1")
					b.Announce("VI_1", Burst{Repeat: 1})
					b.settle()
					b.Release("VI_2")
					b.settle()
					b.LinksChanged([]Link{{Name: "eth0", Index: 2}})
					b.Set(Instance{Name: "VI_3", Interface: "eth0", Addresses: plain("192.0.2.12/24")})
					b.Remove("VI_3")
					b.Snapshot()
				}
				if waited, slept := time.Since(before), 6*30*time.Millisecond; waited != slept {
					b.Errorf("calls took %s, want no more than the %s slept", waited, slept)
				}
				release()
				b.settle()
				b.LinksChanged([]Link{{Name: "eth0", Index: 2}})
				b.settle()
				if got := b.kernel.String(); !strings.HasPrefix(got, strings.Join([]string{eth0, own, vip1}, "\n")) || strings.Contains(got, "192.0.2.11/24") {
					b.Errorf("after the kernel woke:\n%s", got)
				}
			})
		})
	}
}

func TestUnknownInstancesAreIgnored(t *testing.T) {
	run(t, func(b *bench) {
		b.Acquire("nobody")
		b.Release("nobody")
		b.Announce("nobody", Burst{Repeat: 1})
		b.Remove("nobody")
		b.settle()
		b.want(eth0, own)
	})
}

func TestEndReleasesEverythingHeld(t *testing.T) {
	run(t, func(b *bench) {
		b.instance("VI_1", "192.0.2.10/24")
		b.instance("VI_2", "192.0.2.11/24")
		b.instance("VI_3", "192.0.2.12/24")
		b.Acquire("VI_1")
		b.Acquire("VI_2")
		b.Announce("VI_1", Burst{Repeat: 100})
		b.settle()
		b.end()
		b.kernel.Forget()
		b.want(eth0, own)
		// Nothing is sent or added afterwards.
		b.Acquire("VI_1")
		b.Set(Instance{Name: "VI_4", Interface: "eth0", Addresses: plain("192.0.2.13/24")})
		b.Acquire("VI_4")
		b.settle()
		b.want(eth0, own)
	})
}

func TestEndGivesUpOnAKernelThatRefuses(t *testing.T) {
	run(t, func(b *bench) {
		b.instance("VI_1", "192.0.2.10/24")
		b.Acquire("VI_1")
		b.settle()
		b.kernel.Fail(kerneltest.CallDelete, -1, errRefused)
		before := time.Now()
		b.end()
		if took := time.Since(before); took > 2*time.Second {
			b.Errorf("ending took %s, want less than the 2 s a stop may take", took)
		}
		if logs := b.logs.take(); !strings.Contains(logs, "cannot delete what is released") || !strings.Contains(logs, "refused") {
			b.Errorf("logged %q", logs)
		}
	})
}

func TestSnapshot(t *testing.T) {
	run(t, func(b *bench) {
		start := time.Now()
		b.instance("VI_1", "192.0.2.10/24", "192.0.2.11/24")
		if s := b.Snapshot()["VI_1"]; s.Holding || s.Interface != "eth0" || len(s.Addresses) != 2 ||
			s.Addresses[0] != (AddressStatus{Address: Address{Address: plain("192.0.2.10/24")[0].Address, Interface: "eth0"}}) {
			b.Errorf("before anything: %+v", s)
		}
		b.Acquire("VI_1")
		b.Announce("VI_1", Burst{Repeat: 3})
		time.Sleep(time.Minute)
		b.kernel.Take("eth0", "192.0.2.11/24")
		b.settle()
		s := b.Snapshot()["VI_1"]
		// Six for the burst, two for the one put back.
		if !s.Holding || s.Lost || s.Error != "" || s.Announced != 8 {
			b.Errorf("while holding: %+v", s)
		}
		first, second := s.Addresses[0], s.Addresses[1]
		if !first.Present || first.Restores != 0 || first.Since.Sub(start) > time.Second {
			b.Errorf("untouched address: %+v", first)
		}
		if !second.Present || second.Restores != 1 || second.Since.Sub(start) < time.Minute {
			b.Errorf("restored address: %+v", second)
		}
		b.Remove("VI_1")
		b.settle()
		if s := b.Snapshot(); len(s) != 0 {
			b.Errorf("after removal: %+v", s)
		}
	})
}

func TestThousandAddressesInFewCalls(t *testing.T) {
	for _, n := range []int{200, 1000} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			run(t, func(b *bench) {
				addresses := many(n)
				b.instance("VI_1", addresses...)
				b.Acquire("VI_1")
				b.Announce("VI_1", Burst{Repeat: 2})
				time.Sleep(time.Second)
				if got, want := strings.Count(b.kernel.Journal(), "\n")+1, (n+putChunk-1)/putChunk; got != want {
					b.Errorf("%d calls to add %d addresses, want %d", got, n, want)
				}
				if got := strings.Count(b.kernel.String(), "x2"); got != n {
					b.Errorf("%d addresses announced twice, want %d", got, n)
				}
				b.kernel.Forget()
				// Somebody flushes the interface.
				b.kernel.Take("eth0", addresses...)
				b.settle()
				if got := strings.Count(b.kernel.String(), "address eth0 10."); got != n {
					b.Errorf("%d addresses after the flush, want %d", got, n)
				}
				events := b.events.take()
				if strings.Contains(events, "lost") || !strings.HasPrefix(events, "drift VI_1 removed [10.0.0.1/32") {
					b.Errorf("observer heard %s", events)
				}
			})
		})
	}
}

func TestSharedAddressStaysWhileOneInstanceHoldsIt(t *testing.T) {
	run(t, func(b *bench) {
		b.instance("VI_1", "192.0.2.10/24")
		b.instance("VI_2", "192.0.2.10/24", "192.0.2.11/24")
		b.Acquire("VI_1")
		b.Acquire("VI_2")
		b.settle()
		b.Release("VI_2")
		b.settle()
		b.want(eth0, own, vip1)
		// A backup does not take away what another instance holds.
		time.Sleep(time.Minute)
		b.want(eth0, own, vip1)
		b.Release("VI_1")
		b.settle()
		b.want(eth0, own)
		b.wantEvents()
	})
}

// What was left alone for another instance's sake is looked at again when that
// instance has nothing to do with it any more.
func TestSharedAddressIsRemovedWhenTheOtherInstanceLetsGoOfIt(t *testing.T) {
	run(t, func(b *bench) {
		b.instance("VI_1", "192.0.2.10/24")
		b.Release("VI_1")
		b.instance("VI_2", "192.0.2.10/24", "192.0.2.11/24")
		b.kernel.Fail(kerneltest.CallAdd, -1, errRefused)
		b.Acquire("VI_2")
		time.Sleep(2 * time.Second) // It gives up, and adds nothing for now.
		b.kernel.Put("eth0", "192.0.2.10/24")
		b.settle()
		b.want(eth0, own, vip1)
		b.instance("VI_2", "192.0.2.11/24")
		b.settle()
		b.want(eth0, own)
	})
}

func TestBrief(t *testing.T) {
	for want, n := range map[string]int{
		"[]": 0, "[10.0.0.1/32]": 1,
		"[10.0.0.1/32 10.0.0.2/32 10.0.0.3/32 10.0.0.4/32]":            4,
		"[10.0.0.1/32 10.0.0.2/32 10.0.0.3/32 10.0.0.4/32] and 2 more": 6,
	} {
		if got := brief(many(n)); got != want {
			t.Errorf("brief of %d addresses is %q, want %q", n, got, want)
		}
	}
}

func TestCausesHaveWords(t *testing.T) {
	words := []string{"removed", "interface_recreated", "left_over", "appeared", "changed", "unknown"}
	for i, want := range words {
		if got := Cause(i).String(); got != want {
			t.Errorf("cause %d is %q, want %q", i, got, want)
		}
	}
	if slices.Contains(words[:len(words)-1], Cause(99).String()) {
		t.Error("an unknown cause has a known word")
	}
}
