package netloop_test

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/sdk/netloop"
)

// acceptorVariable, when set, makes the test binary a server: what accepting
// costs must not be counted as the checker's.
const acceptorVariable = "NETLOOP_TEST_ACCEPTOR"

func TestMain(m *testing.M) {
	if os.Getenv(acceptorVariable) != "" {
		accept()
		return
	}
	os.Exit(m.Run())
}

// accept listens on every loopback address, prints the port, and serves until
// its standard input ends.
func accept() {
	l, err := net.Listen("tcp4", "0.0.0.0:0") //nolint:noctx // The whole life of this process.
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(l.Addr().(*net.TCPAddr).Port)
	go func() {
		_, _ = os.Stdin.Read(make([]byte, 1))
		os.Exit(0)
	}()
	for {
		c, err := l.Accept()
		if err != nil {
			os.Exit(1)
		}
		_ = c.Close()
	}
}

// acceptor starts the server and returns its port.
func acceptor(b *testing.B) uint16 {
	b.Helper()
	command := exec.CommandContext(b.Context(), os.Args[0])
	command.Env = append(os.Environ(), acceptorVariable+"=1")
	stdin, err := command.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := command.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = stdin.Close()
		_ = command.Wait()
	})
	var port uint16
	if _, err := fmt.Fscan(bufio.NewReader(stdout), &port); err != nil {
		b.Fatal(err)
	}
	return port
}

// loopbackTargets spreads n targets over 127.0.0.0/8.
func loopbackTargets(port uint16, n int) []netip.AddrPort {
	targets := make([]netip.AddrPort, n)
	for i := range targets {
		targets[i] = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i)}), port)
	}
	return targets
}

// cpu is the processor time this process has used, in user and kernel mode.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkPaced makes checks at the rates a load balancer has, and reports
// what one costs this process. At 10,000 a second 37 us are the 37 % of a core
// that Keepalived's checker needs for the same.
//
//	go test -run '^$' -bench Paced -benchtime 100000x ./sdk/netloop
func BenchmarkPaced(b *testing.B) {
	for _, rate := range []int{1000, 10000} {
		b.Run(fmt.Sprintf("%d per second", rate), func(b *testing.B) {
			targets := loopbackTargets(acceptor(b), rate)
			l := open(b)
			var all sync.WaitGroup
			var failed int // Written by the loop's goroutine, read after all.Wait.
			done := func(a netloop.Answer) {
				if a.State != netloop.Connected {
					failed++
				}
				all.Done()
			}
			b.ReportAllocs()
			before, begin := cpu(b), time.Now()
			b.ResetTimer()
			for sent := 0; sent < b.N; {
				due := min(b.N, int(time.Since(begin)*time.Duration(rate)/time.Second))
				for ; sent < due; sent++ {
					all.Add(1)
					l.Dial(targets[sent%rate], netip.Addr{}, time.Now().Add(2*time.Second), done)
				}
				if sent < b.N {
					time.Sleep(time.Until(begin.Add(time.Duration(sent+1) * time.Second / time.Duration(rate))))
				}
			}
			all.Wait()
			b.StopTimer()
			used, took := cpu(b)-before, time.Since(begin)
			b.ReportMetric(float64(used.Microseconds())/float64(b.N), "cpu-us/check")
			b.ReportMetric(100*used.Seconds()/took.Seconds(), "cpu-%")
			b.ReportMetric(0, "ns/op") // The pace, not the work.
			if failed > 0 {
				b.Errorf("%d of %d checks failed", failed, b.N)
			}
		})
	}
}

// BenchmarkBurst makes checks as fast as they go, 512 at a time.
func BenchmarkBurst(b *testing.B) {
	targets := loopbackTargets(acceptor(b), 4096)
	l := open(b)
	slots := make(chan struct{}, 512)
	done := func(netloop.Answer) { <-slots }
	b.ReportAllocs()
	before := cpu(b)
	for i := 0; b.Loop(); i++ {
		slots <- struct{}{}
		l.Dial(targets[i%len(targets)], netip.Addr{}, time.Now().Add(10*time.Second), done)
	}
	for range cap(slots) {
		slots <- struct{}{}
	}
	b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N), "cpu-us/check")
}
