package kerneltest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ownNamespace identifies the calling thread's network namespace.
func ownNamespace(tb testing.TB) string {
	tb.Helper()
	id, err := os.Readlink(threadNamespace)
	if err != nil {
		tb.Fatal(err)
	}
	return id
}

func TestDoEntersAndLeavesNamespace(t *testing.T) {
	n := NewNamespace(t, "do")
	outside := ownNamespace(t)
	var inside string
	err := n.Do(func() (err error) {
		inside, err = os.Readlink(threadNamespace)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var stat unix.Stat_t
	if err := unix.Stat(n.Path(), &stat); err != nil {
		t.Fatal(err)
	}
	if inside == outside {
		t.Errorf("Do ran in the test's own namespace %s", inside)
	}
	// Many goroutines afterwards: none may run on a thread left inside.
	ids := make(chan string)
	const goroutines = 64
	for range goroutines {
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			id, _ := os.Readlink(threadNamespace)
			ids <- id
		}()
	}
	for range goroutines {
		if id := <-ids; id != outside {
			t.Errorf("a goroutine runs in %s, want %s", id, outside)
		}
	}
}

func TestDoReportsErrorsAndAbandonedFunctions(t *testing.T) {
	n := NewNamespace(t, "errors")
	want := errors.New("mine")
	if err := n.Do(func() error { return want }); !errors.Is(err, want) {
		t.Errorf("Do returned %v, want the function's error", err)
	}
	if err := n.Do(func() error { runtime.Goexit(); return nil }); err == nil {
		t.Error("Do returned no error for a function that never returned")
	}
}

func TestNamespaceIsRemovedAtTheEnd(t *testing.T) {
	var path string
	t.Run("inner", func(t *testing.T) { path = NewNamespace(t, "gone").Path() })
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("%s is still there (%v)", path, err)
	}
}

func TestSweepRemovesNamespacesOfDeadProcesses(t *testing.T) {
	NewNamespace(t, "mkdir") // For the directory to exist.
	// Larger than any process id the kernel hands out (2^22).
	path := filepath.Join(namespaceDir, "halo-99999999-left-1")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(path) })
	living := NewNamespace(t, "living")
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("%s was not swept (%v)", path, err)
	}
	if _, err := os.Stat(living.Path()); err != nil {
		t.Errorf("a living namespace was swept: %v", err)
	}
}

func TestNamespaceOwner(t *testing.T) {
	for name, want := range map[string]int{
		"halo-12-a-b-3": 12, "halo--1-a": 0, "halo-x-a": 0, "halo-12": 0, "blue": 0, "halo-0-a": 0,
	} {
		if got, ok := namespaceOwner(name); ok != (want > 0) || (ok && got != want) {
			t.Errorf("namespaceOwner(%q) = %d, %v, want %d", name, got, ok, want)
		}
	}
}

func TestCommandRunsInsideNamespace(t *testing.T) {
	n := NewNamespace(t, "exec")
	got, err := n.Output("sh", "-c", "readlink /proc/self/ns/net; echo warning >&2")
	if err != nil {
		t.Fatal(err)
	}
	id, _, _ := strings.Cut(got, "\n")
	if id == ownNamespace(t) || !strings.HasPrefix(id, "net:[") {
		t.Errorf("the program ran in %q", id)
	}
	if !strings.Contains(got, "warning") {
		t.Errorf("standard error is missing in %q", got)
	}
	if err := n.Run(n.Command("sh", "-c", "exit 3")); err == nil {
		t.Error("Run returned no error for exit status 3")
	}
	if err := n.Run(n.Command("no-such-program-anywhere")); err == nil {
		t.Error("Run returned no error for a missing program")
	}
}

func TestSysctlIsTheNamespaces(t *testing.T) {
	n := NewNamespace(t, "sysctl")
	before, err := os.ReadFile("/proc/sys/net/ipv4/ip_forward")
	if err != nil {
		t.Fatal(err)
	}
	n.Sysctl("ipv4/ip_forward", "1")
	inside, err := n.Output("cat", "/proc/sys/net/ipv4/ip_forward")
	if err != nil || strings.TrimSpace(inside) != "1" {
		t.Errorf("inside: %q, %v, want 1", inside, err)
	}
	after, err := os.ReadFile("/proc/sys/net/ipv4/ip_forward")
	if err != nil || !bytes.Equal(after, before) {
		t.Errorf("the host's value changed from %q to %q (%v)", before, after, err)
	}
}

func TestSwitchCarriesTraffic(t *testing.T) {
	lan := NewSwitch(t, "lan")
	server, client := NewNamespace(t, "server"), NewNamespace(t, "client")
	port := lan.Attach(server, "eth0", "192.0.2.1/24")
	lan.Attach(client, "eth0", "192.0.2.2/24")

	l, err := server.Listen("tcp4", "192.0.2.1:80")
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }),
		ReadHeaderTimeout: time.Minute,
	}
	go func() { _ = web.Serve(l) }()
	t.Cleanup(func() { _ = web.Close() })

	get := func(ctx context.Context) (string, error) {
		transport := &http.Transport{DialContext: client.DialContext, DisableKeepAlives: true}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://192.0.2.1/", nil)
		if err != nil {
			return "", err
		}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			return "", err
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		return string(body), err
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if body, err := get(ctx); err != nil || body != "hello" {
		t.Fatalf("GET = %q, %v", body, err)
	}
	if got, want := client.Neighbour("eth0", "192.0.2.1").String(), server.MAC("eth0").String(); got != want {
		t.Errorf("neighbour of the client is %s, want %s", got, want)
	}

	// Pulling the cable stops it.
	lan.SetDown(port)
	short, cancelShort := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancelShort()
	if body, err := get(short); err == nil {
		t.Errorf("GET over a pulled cable = %q", body)
	}
}

func TestLinksAndAddresses(t *testing.T) {
	a, b := NewNamespace(t, "a"), NewNamespace(t, "b")
	Veth(a, "eth0", b, "eth1")
	a.AddAddress("eth0", "192.0.2.9/24")
	a.AddAddress("eth0", "192.0.2.10/32")
	want := []netip.Prefix{netip.MustParsePrefix("192.0.2.9/24"), netip.MustParsePrefix("192.0.2.10/32")}
	if got := a.Addresses("eth0"); len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("addresses %v, want %v", got, want)
	}
	a.DelAddress("eth0", "192.0.2.10/32")
	if a.HasAddress("eth0", "192.0.2.10") || !a.HasAddress("eth0", "192.0.2.9") {
		t.Errorf("addresses after deleting one: %v", a.Addresses("eth0"))
	}
	b.DeleteLink("eth1")
	if a.HasLink("eth0") || b.HasLink("eth1") {
		t.Error("a cable with one end deleted is still there")
	}
	if got := a.Addresses("eth0"); got != nil {
		t.Errorf("addresses of a missing interface: %v", got)
	}
}

func TestRouteAndLearnNeighbour(t *testing.T) {
	a, b := NewNamespace(t, "a"), NewNamespace(t, "b")
	Veth(a, "eth0", b, "eth0")
	a.AddAddress("eth0", "192.0.2.1/24")
	b.AddAddress("eth0", "192.0.2.2/24")
	b.AddAddress("lo", "203.0.113.1/32")
	a.AddRoute("203.0.113.0/24", "192.0.2.2")
	a.AddRoute("default", "192.0.2.2")
	a.LearnNeighbour("203.0.113.1")
	want := b.MAC("eth0").String()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for a.Neighbour("eth0", "192.0.2.2").String() != want {
		select {
		case <-ctx.Done():
			t.Fatalf("the gateway was never resolved to %s", want)
		case <-time.After(time.Millisecond):
		}
	}
}
