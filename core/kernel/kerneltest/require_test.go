package kerneltest

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
)

// recorder stands in for a test and notes how it was ended.
type recorder struct {
	testing.TB
	verdict string
}

func (r *recorder) Helper() {}

func (r *recorder) Skip(args ...any) {
	r.verdict = "skip: " + fmt.Sprint(args...)
	runtime.Goexit()
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.verdict = "fatal: " + fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// verdict runs a condition and returns how it ended the test, empty when it
// let it continue.
func verdict(condition func(testing.TB)) string {
	r := &recorder{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		condition(r)
	}()
	<-done
	return r.verdict
}

func TestUnavailableSkipsWithReasonAndFailsInCI(t *testing.T) {
	condition := func(tb testing.TB) { tb.Helper(); RequireTool(tb, "no-such-program-anywhere") }

	t.Setenv("CI", "")
	if got, want := verdict(condition), "skip: needs no-such-program-anywhere, which is not installed"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	t.Setenv("CI", "true")
	if got := verdict(condition); !strings.HasPrefix(got, "fatal: needs no-such-program-anywhere") {
		t.Errorf("with CI=true got %q, want a failure", got)
	}
}

func TestRequireToolFindsPrograms(t *testing.T) {
	t.Setenv("CI", "true")
	if got := verdict(func(tb testing.TB) { tb.Helper(); RequireTool(tb, "sh") }); got != "" {
		t.Errorf("sh is installed, but: %s", got)
	}
	if path := ToolPath("sh"); !strings.HasPrefix(path, "/") {
		t.Errorf("ToolPath(sh) = %q, want an absolute path", path)
	}
	if path := ToolPath("no-such-program-anywhere"); path != "no-such-program-anywhere" {
		t.Errorf("ToolPath of a missing program = %q, want its name", path)
	}
}

func TestRequireIPVS(t *testing.T) {
	if InGuest() {
		if got := verdict(RequireIPVS); got != "" {
			t.Fatalf("in the test kernel: %s", got)
		}
		return
	}
	// CI=true does not turn this skip into a failure.
	t.Setenv("CI", "true")
	if got, want := verdict(RequireIPVS), "skip: runs in the test kernel"; got != want {
		t.Errorf("outside the guest got %q, want %q", got, want)
	}
	if _, err := os.Stat("/proc/net/ip_vs"); err == nil {
		t.Skip("this kernel has IPVS, so its absence cannot be shown")
	}
	t.Setenv("HALO_GUEST", "1")
	if got := verdict(RequireIPVS); !strings.HasPrefix(got, "fatal: the test kernel has no IPVS") {
		t.Errorf("in a guest without IPVS got %q, want a failure", got)
	}
}

func TestRequireRootAgreesWithCapabilities(t *testing.T) {
	missing, err := missingCapabilities()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("CI", "")
	got := verdict(RequireRoot)
	if len(missing) == 0 && got != "" {
		t.Errorf("nothing is missing, but: %s", got)
	}
	if len(missing) > 0 && !strings.Contains(got, missing[0]) {
		t.Errorf("verdict %q does not name %s", got, missing[0])
	}
}
