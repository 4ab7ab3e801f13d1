package script_test

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/sdk/script"
)

// BenchmarkVerify is what every run pays for the look at the path.
func BenchmarkVerify(b *testing.B) {
	path := write(b, "#!/bin/sh\nexit 0\n")
	b.ReportAllocs()
	for b.Loop() {
		if err := script.Verify(path); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRun reports what a run of /bin/true costs this process, and what it
// costs its children. At 1,000 a second, 140 us are the 14 % of a core that a
// Go parent needs where Keepalived needs 39.
func BenchmarkRun(b *testing.B) {
	s := runner(b).Script()
	command := script.Command{Args: []string{"/bin/true"}, Env: script.Environment(os.Environ())}
	var before, after, beforeChildren, afterChildren unix.Rusage
	usage := func(own, children *unix.Rusage) {
		if err := unix.Getrusage(unix.RUSAGE_SELF, own); err != nil {
			b.Fatal(err)
		}
		if err := unix.Getrusage(unix.RUSAGE_CHILDREN, children); err != nil {
			b.Fatal(err)
		}
	}
	usage(&before, &beforeChildren)
	for b.Loop() {
		if ended, err := s.Run(b.Context(), command); err != nil || ended.Code != 0 {
			b.Fatalf("%+v, %v", ended, err)
		}
	}
	usage(&after, &afterChildren)
	micros := func(before, after unix.Rusage) float64 {
		return float64(after.Utime.Nano()+after.Stime.Nano()-before.Utime.Nano()-before.Stime.Nano()) / 1e3 / float64(b.N)
	}
	b.ReportMetric(micros(before, after), "cpu-us/run")
	b.ReportMetric(micros(beforeChildren, afterChildren), "child-cpu-us/run")
}
