package bench

import (
	"flag"
	"fmt"
	"os/exec"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var busyFor = flag.Duration("busy", 5*time.Minute, "how long TestBusy looks at each party")

// TestBusy lets two routers advertise every 10 ms on a machine whose processors are
// all busy with something else, each party as it is by default: how far apart the
// active router's advertisements are, and how often the other one took over from it,
// for which there is no reason.
func TestBusy(t *testing.T) {
	if !*measure {
		t.Skip("measures only with -measure (make bench)")
	}
	const interval = 10 * time.Millisecond
	heading(fmt.Sprintf("an advertisement every %s beside %d busy processes, for %s", interval, burners(), *busyFor))
	say("%-12s %-12s %-12s %-12s %s", "", "median", "p99.9", "worst", "false takeovers")
	p999 := map[string]time.Duration{}
	for _, kind := range []string{"halo", "keepalived"} {
		if kind == "keepalived" && !haveKeepalived() {
			continue
		}
		t.Run(kind, func(t *testing.T) {
			p := newPair(t, kind, interval)
			burn(t)
			time.Sleep(time.Second) // The scheduler has got used to it.
			gaps, takeovers := p.watch(*busyFor)
			if len(gaps) == 0 {
				t.Fatal("nothing was advertised")
			}
			slices.Sort(gaps)
			p999[kind] = gaps[len(gaps)*999/1000]
			say("%-12s %-12s %-12s %-12s %d", kind, milliseconds(gaps[len(gaps)/2]), milliseconds(p999[kind]), milliseconds(gaps[len(gaps)-1]), takeovers)
		})
	}
	if p999["keepalived"] > 0 {
		say("ratio of p99.9: %s", ratio(float64(p999["halo"]), float64(p999["keepalived"])))
	}
}

// burners is twice as many as there are processors.
func burners() int { return 2 * runtime.NumCPU() }

// burn keeps the processors busy until the test ends, each process in a session of
// its own, as other work on a machine is.
func burn(t *testing.T) {
	t.Helper()
	for range burners() {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", "while :; do :; done")
		cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true, Pdeathsig: unix.SIGKILL}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
	}
}

// watch is the times between the advertisements of a, and how often the other router
// began to advertise meanwhile.
func (p *pair) watch(length time.Duration) (gaps sample, takeovers int) {
	p.capture.drain()
	var last, other time.Time
	for end := time.After(length); ; {
		select {
		case <-end:
			return gaps, takeovers
		case a := <-p.capture.adverts:
			switch {
			case a.source == addressA:
				if !last.IsZero() {
					gaps = append(gaps, a.at.Sub(last))
				}
				last = a.at
			case a.priority != 0:
				if a.at.Sub(other) > 10*p.interval {
					takeovers++
				}
				other = a.at
			}
		}
	}
}
