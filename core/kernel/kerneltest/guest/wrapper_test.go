package guest_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// fixtureTest is a package whose tests can tell where they ran.
const fixtureTest = `package fixture

import (
	"os"
	"os/exec"
	"testing"
)

func TestWhere(t *testing.T) {
	if os.Getenv("HALO_GUEST") != "1" || os.Getenv("CI") != "true" {
		t.Fatalf("HALO_GUEST=%q CI=%q", os.Getenv("HALO_GUEST"), os.Getenv("CI"))
	}
	content, err := os.ReadFile("testdata/word")
	if err != nil || string(content) != "hello" {
		t.Fatalf("testdata: %q, %v", content, err)
	}
	output, err := exec.Command("ipvsadm", "-Ln").CombinedOutput()
	if err != nil {
		t.Fatalf("ipvsadm: %v, %s", err, output)
	}
	t.Logf("%s", output)
}

func TestRed(t *testing.T) {
	if os.Getenv("HALO_RED") != "" {
		t.Fatal("red on purpose")
	}
}
`

// TestWrapperForGoTest runs go test with the wrapper, as the Makefile does.
func TestWrapperForGoTest(t *testing.T) {
	t.Parallel()
	requireGuest(t)
	directory := t.TempDir()
	wrapper := filepath.Join(directory, "halo-guest")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", wrapper, "./halo-guest")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build wrapper: %v\n%s", err, output)
	}
	cache, err := filepath.Abs("../../../../.cache/guest")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(directory, "go.mod"), "module fixture\n\ngo 1.26\n")
	write(t, filepath.Join(directory, "fixture_test.go"), fixtureTest)
	write(t, filepath.Join(directory, "testdata", "word"), "hello")
	run := func(extra ...string) (string, error) {
		test := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-v", "-coverprofile=cover.out", "-exec", wrapper, ".")
		test.Dir = directory
		test.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "CI=true", "HALO_GUEST_CACHE="+cache)
		test.Env = append(test.Env, extra...)
		output, err := test.CombinedOutput()
		return string(output), err
	}

	output, err := run()
	if err != nil || !strings.Contains(output, "IP Virtual Server version") || !strings.Contains(output, "ok  \tfixture") {
		t.Errorf("green tests in the guest: %v\n%s", err, output)
	}
	if content, err := os.ReadFile(filepath.Join(directory, "cover.out")); err != nil || !strings.HasPrefix(string(content), "mode: ") {
		t.Errorf("coverage profile: %q, %v", content, err)
	}

	output, err = run("HALO_RED=1")
	var exit *exec.ExitError
	if !errors.As(err, &exit) || !strings.Contains(output, "red on purpose") || !strings.Contains(output, "FAIL\tfixture") {
		t.Errorf("red tests in the guest: %v\n%s", err, output)
	}
}
