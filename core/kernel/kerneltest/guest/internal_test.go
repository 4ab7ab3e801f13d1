package guest

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestFramesRoundTrip(t *testing.T) {
	var port bytes.Buffer
	writer := &frameWriter{out: &port}
	long := bytes.Repeat([]byte("0123456789"), 2*maxPayload/10)
	if err := writer.send(frameBooted, nil); err != nil {
		t.Fatal(err)
	}
	if n, err := writer.stream(frameStdout).Write(long); n != len(long) || err != nil {
		t.Fatalf("write: %d, %v", n, err)
	}
	kind, payload, err := readFrame(&port)
	if kind != frameBooted || len(payload) != 0 || err != nil {
		t.Fatalf("first frame: %q, %d bytes, %v", kind, len(payload), err)
	}
	var got []byte
	for {
		kind, payload, err := readFrame(&port)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || kind != frameStdout {
			t.Fatalf("frame: %q, %v", kind, err)
		}
		got = append(got, payload...)
	}
	if !bytes.Equal(got, long) {
		t.Errorf("got %d bytes back, sent %d", len(got), len(long))
	}
}

func TestReadFrameRefusesWhatIsNoFrame(t *testing.T) {
	for name, data := range map[string]string{
		"no mark":     "0031" + "00000001" + "41",
		"too long":    "a531" + "00ffffff" + "41",
		"cut payload": "a531" + "00000002" + "41",
		"cut header":  "a531" + "0000",
	} {
		t.Run(name, func(t *testing.T) {
			raw, err := hex.DecodeString(data)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := readFrame(bytes.NewReader(raw)); err == nil || errors.Is(err, io.EOF) {
				t.Errorf("error is %v, want one that is not a clean end", err)
			}
		})
	}
}

func TestCollectorRefusesWhatWasNotAskedFor(t *testing.T) {
	directory := t.TempDir()
	place := filepath.Join(directory, "deep", "asked")
	if err := os.MkdirAll(filepath.Dir(place), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(place, []byte("of an earlier run"), 0o644); err != nil {
		t.Fatal(err)
	}
	collected := collector{map[string]string{"/asked": place}, map[string]bool{}}
	for _, piece := range []string{"one ", "two"} {
		if err := collected.add(joinFile("/asked", []byte(piece))); err != nil {
			t.Fatal(err)
		}
	}
	if content, err := os.ReadFile(place); err != nil || string(content) != "one two" {
		t.Errorf("collected %q, %v", content, err)
	}
	if err := collected.add(joinFile("/etc/passwd", nil)); err == nil {
		t.Error("a file that was not asked for was taken")
	}
	for _, cut := range [][]byte{nil, {0}, {0, 9, 'x'}} {
		if err := collected.add(cut); err == nil {
			t.Errorf("the cut frame % x was taken", cut)
		}
	}
}

// TestArchiveIsReadByCpio lets busybox, another implementation, read it.
func TestArchiveIsReadByCpio(t *testing.T) {
	path, err := lookPath("busybox")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	var out bytes.Buffer
	archive := newArchive(&out)
	archive.file("/etc/odd", 0o640, []byte("12345"))
	archive.file("/etc/odd", 0o600, []byte("the second is ignored"))
	archive.symlink("/bin", "usr/bin")
	archive.file("/empty", 0o644, nil)
	if err := archive.close(); err != nil {
		t.Fatal(err)
	}
	list := exec.CommandContext(t.Context(), path, "cpio", "-tv")
	list.Stdin = &out
	output, err := list.CombinedOutput()
	if err != nil {
		t.Fatalf("cpio: %v\n%s", err, output)
	}
	for _, want := range []string{"drwxr-xr-x", "etc/odd", "-rw-r-----", "bin -> usr/bin", "empty"} {
		if !strings.Contains(string(output), want) {
			t.Errorf("list lacks %q:\n%s", want, output)
		}
	}
	if count := strings.Count(string(output), "etc/odd"); count != 1 {
		t.Errorf("etc/odd stands %d times in the list", count)
	}
}

func TestArchiveTellsWriteErrors(t *testing.T) {
	archive := newArchive(brokenWriter{})
	archive.file("/big", 0o644, make([]byte, 4<<20))
	if err := archive.close(); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("error is %v, want the writer's", err)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestTestArguments(t *testing.T) {
	collect := map[string]string{}
	got := testArguments([]string{"/tmp/x.test", "-test.v=true", "-test.testlogfile=/tmp/log", "-test.gocoverdir=/x/y", "-test.coverprofile=/tmp/cover"}, collect)
	want := []string{"/tmp/x.test", "-test.v=true", "-test.gocoverdir=/tmp", "-test.coverprofile=/tmp/cover"}
	if !slices.Equal(got, want) {
		t.Errorf("arguments are %q, want %q", got, want)
	}
	if collect["/tmp/cover"] != "/tmp/cover" || len(collect) != 1 {
		t.Errorf("collected files are %v", collect)
	}
}

func TestPassedOn(t *testing.T) {
	got := passedOn([]string{"CI=true", "HOME=/root", "HALO_X=1", "GOTRACEBACK=all", "GOROOT=/go", "SECRET=s", "ASKED=a"}, []string{"ASKED"})
	want := []string{"CI=true", "HALO_X=1", "GOTRACEBACK=all", "ASKED=a"}
	if !slices.Equal(got, want) {
		t.Errorf("passed on %q, want %q", got, want)
	}
}

func TestConfigFromEnvironment(t *testing.T) {
	t.Setenv("HALO_GUEST_FILES", "a, b:c")
	t.Setenv("HALO_GUEST_MEMORY", "2048")
	t.Setenv("HALO_GUEST_TIMEOUT", "90s")
	t.Setenv("HALO_GUEST_KVM", "1")
	config, err := ConfigFromEnvironment([]string{"program"})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(config.Files, []string{"a", "b", "c"}) || config.Memory != 2048 || config.Limit.Seconds() != 90 || !config.KVM {
		t.Errorf("config is %+v", config)
	}
	for name, wrong := range map[string]string{"HALO_GUEST_MEMORY": "much", "HALO_GUEST_TIMEOUT": "long"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, wrong)
			if _, err := ConfigFromEnvironment([]string{"program"}); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("error is %v, want one that names the variable", err)
			}
		})
	}
}

func TestModuleOrder(t *testing.T) {
	directory := t.TempDir()
	if err := os.WriteFile(filepath.Join(directory, "modules.builtin"), []byte("kernel/lib/built-in.ko\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if order, err := moduleOrder(directory, []string{"built_in"}); err != nil || len(order) != 0 {
		t.Errorf("a built-in module: %v, %v; want nothing to load", order, err)
	}
	if _, err := moduleOrder(directory, []string{"absent"}); err == nil || !strings.Contains(err.Error(), "absent") {
		t.Errorf("an absent module: %v; want an error that names it", err)
	}
	if err := os.WriteFile(filepath.Join(directory, "broken.ko"), []byte("no ELF"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := moduleOrder(directory, []string{"broken"}); err == nil || !strings.Contains(err.Error(), "broken.ko") {
		t.Errorf("a broken module: %v; want an error that names the file", err)
	}
}

func TestTailKeepsTheLastLines(t *testing.T) {
	console := &tail{copy: io.Discard}
	if got := console.String(); !strings.Contains(got, "said nothing") {
		t.Errorf("an empty console prints as %q", got)
	}
	for range 100_000 {
		if _, err := console.Write([]byte("noise\r\n")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := console.Write([]byte("Kernel panic\r\n")); err != nil {
		t.Fatal(err)
	}
	got := console.String()
	if lines := strings.Count(got, "\n"); lines != tailLines || !strings.HasSuffix(got, "Kernel panic") || strings.Contains(got, "\r") {
		t.Errorf("tail has %d lines, want %d:\n%s", lines, tailLines, got)
	}
}

func TestMergedPaths(t *testing.T) {
	for path, want := range map[string]string{
		"/bin/sh": "/usr/bin/sh", "/lib64/ld.so": "/usr/lib64/ld.so", "/library/x": "/library/x", "/usr/lib/x": "/usr/lib/x",
	} {
		if got := merged(path); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
}
