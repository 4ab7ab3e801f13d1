package sdk_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/host"
)

// cpuTime is what a process has used, user and system, in seconds.
func cpuTime(b *testing.B, pid int) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	// The name in parentheses may hold spaces; the fields after it do not.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	user, err1 := strconv.ParseFloat(fields[11], 64)
	system, err2 := strconv.ParseFloat(fields[12], 64)
	if err := errors.Join(err1, err2); err != nil {
		b.Fatal(err)
	}
	return (user + system) / 100 // USER_HZ is 100 on every Linux that Go runs on.
}

func anonymousMemory(b *testing.B, pid int) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		b.Fatal(err)
	}
	sum := 0.0
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if strings.HasPrefix(line, "Anonymous:") {
			kilobytes, err := strconv.ParseFloat(fields[1], 64)
			if err != nil {
				b.Fatal(err)
			}
			sum += kilobytes / 1024
		}
	}
	return sum
}

// BenchmarkProbesPerSecond shows what the SDK itself costs a plugin process
// that runs N probes a second and reports every one, in per cent of a core: the
// probes are free. One iteration is one second.
func BenchmarkProbesPerSecond(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			s := startPlugin(b, true)
			session, err := s.Session(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			defer session.Close()
			probes := make([]host.Probe, n)
			for i := range probes {
				address := netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i)}) //nolint:gosec // Cut on purpose.
				probes[i] = host.Probe{
					ID: uint64(i + 1), Type: "instant", //nolint:gosec // Small.
					Target: check.Target{
						Address: address, Port: 80, RealServer: netip.AddrPortFrom(address, 80),
						VirtualServer: "web", VirtualAddress: netip.MustParseAddrPort("192.0.2.1:80"), Protocol: "tcp",
					},
					Schedule: host.Schedule{Interval: time.Second, RetryInterval: time.Second, Timeout: time.Second, Rise: 1, Fall: 1},
				}
			}
			if err := errors.Join(session.Begin(1), session.Upsert(probes), session.Commit(1)); err != nil {
				b.Fatal(err)
			}
			results := 0
			receive := func(d time.Duration) {
				for end := time.Now().Add(d); time.Now().Before(end); {
					message, err := session.Recv()
					if err != nil {
						b.Fatal(err)
					}
					if r, ok := message.(*host.Results); ok {
						results += len(r.Results)
					}
				}
			}
			receive(2 * time.Second)
			results = 0
			pid := s.cmd.Process.Pid
			plugin, own := cpuTime(b, pid), cpuTime(b, os.Getpid())
			b.ResetTimer()
			for range b.N {
				receive(time.Second)
			}
			b.StopTimer()
			seconds := b.Elapsed().Seconds()
			b.ReportMetric(100*(cpuTime(b, pid)-plugin)/seconds, "plugin%")
			b.ReportMetric(100*(cpuTime(b, os.Getpid())-own)/seconds, "host%")
			b.ReportMetric(float64(results)/seconds, "results/s")
			b.ReportMetric(anonymousMemory(b, pid), "MB-anonymous")
			b.ReportMetric(0, "ns/op")
		})
	}
}
