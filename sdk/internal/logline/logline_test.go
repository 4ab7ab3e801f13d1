package logline_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/halo-ha/halo/sdk/internal/logline"
)

// logTo returns an author's logger and what it has written, a map a line.
func logTo(t *testing.T, level string) (log *slog.Logger, lines func() []map[string]any) {
	t.Helper()
	var out bytes.Buffer
	_, log = logline.New(&out, level)
	return log, func() []map[string]any {
		t.Helper()
		var all []map[string]any
		for line := range strings.Lines(out.String()) {
			var fields map[string]any
			if err := json.Unmarshal([]byte(line), &fields); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			all = append(all, fields)
		}
		return all
	}
}

func TestLinesAreWhatTheHostParses(t *testing.T) {
	log, lines := logTo(t, "trace")
	log.Info("probe ended", "took", 1500*time.Millisecond, "n", 3, "ok", true, "share", 0.5)
	got := lines()[0]
	for key, want := range map[string]any{
		"@level": "info", "@message": "probe ended", "took": "1.5s", "n": 3.0, "ok": true, "share": 0.5,
	} {
		if got[key] != want {
			t.Errorf("%s = %v (%T), want %v", key, got[key], got[key], want)
		}
	}
	// go-plugin's host parses this form and no other.
	if _, err := time.Parse("2006-01-02T15:04:05.000000Z07:00", fmt.Sprint(got["@timestamp"])); err != nil {
		t.Error(err)
	}
}

type secret struct{}

func (secret) LogValue() slog.Value { return slog.StringValue("hidden") }

func TestValues(t *testing.T) {
	log, lines := logTo(t, "")
	log.Info("values",
		"error", errors.New("refused"), "nan", math.NaN(), "inf", math.Inf(-1), "valuer", secret{},
		"stringer", netip.MustParseAddr("192.0.2.1"), "list", []int{1, 2}, "invalid", "a\xffb",
		"unsigned", uint64(7), "time", time.Unix(0, 0).UTC(), "nil", nil,
		slog.Group("g", "a", 1, slog.Group("h", "b", 2)), slog.Group("", "inline", 3), "@level", "trace", "", "no key",
	)
	got := lines()[0]
	for key, want := range map[string]any{
		"error": "refused", "nan": "NaN", "inf": "-Inf", "valuer": "hidden", "stringer": "192.0.2.1", "list": "[1 2]",
		"invalid": "a\uFFFDb", "unsigned": 7.0, "time": "1970-01-01 00:00:00 +0000 UTC", "nil": "<nil>",
		"g.a": 1.0, "g.h.b": 2.0, "inline": 3.0, "@level": "info", "level": "trace",
	} {
		if got[key] != want {
			t.Errorf("%s = %v (%T), want %v", key, got[key], got[key], want)
		}
	}
}

func TestAttributesAndGroupsAreKept(t *testing.T) {
	log, lines := logTo(t, "")
	child := log.With("check", "tcp").WithGroup("tls").With("version", "1.3").WithGroup("")
	child.Info("first", "cipher", "x")
	child.Info("second")
	log.Info("third")
	all := lines()
	if got := all[0]; got["check"] != "tcp" || got["tls.version"] != "1.3" || got["tls.cipher"] != "x" {
		t.Errorf("first = %v", got)
	}
	if got := all[1]; got["check"] != "tcp" || got["tls.version"] != "1.3" || got["tls.cipher"] != nil {
		t.Errorf("second = %v", got)
	}
	if got := all[2]; got["check"] != nil {
		t.Errorf("third = %v", got)
	}
}

func TestLevels(t *testing.T) {
	for _, tc := range []struct {
		level string
		want  string
	}{
		{"trace", "trace debug info warn error"},
		{"debug", "debug info warn error"},
		{"info", "info warn error"},
		{"warn", "warn error"},
		{"error", "error"},
		{"", "info warn error"},
		{"nonsense", "info warn error"},
	} {
		log, lines := logTo(t, tc.level)
		for _, level := range []slog.Level{slog.LevelDebug - 4, slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
			log.Log(t.Context(), level, "x")
		}
		var got []string
		for _, line := range lines() {
			got = append(got, fmt.Sprint(line["@level"]))
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("level %q writes %v, want %s", tc.level, got, tc.want)
		}
	}
}

func TestNoLineIsTooLong(t *testing.T) {
	var out bytes.Buffer
	w := logline.NewWriter()
	go w.Run(t.Context(), &out)
	h, log := logline.New(w, "")
	long := strings.Repeat("é", 100_000)
	log.Info(long, "value", long) //nolint:sloglint // As an author might.
	var many []any
	for i := range 200 {
		many = append(many, fmt.Sprintf("k%d", i), strings.Repeat("\x01", 4096)) // Six bytes each in JSON.
	}
	log.Info("many", many...)
	h.Info("go-plugin's own", "value", long)
	w.Flush(time.Minute)
	n := 0
	for line := range strings.Lines(out.String()) {
		n++
		if len(line) > 64<<10 {
			t.Errorf("a line of %d bytes", len(line))
		}
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %.100q", line)
		}
	}
	if n != 3 || !strings.Contains(out.String(), "log line too long") {
		t.Errorf("%d lines, want 3 and one that says it was too long", n)
	}
}

// stuck is a standard error that nobody reads.
type stuck struct{ read chan []byte }

func (s *stuck) Write(p []byte) (int, error) {
	s.read <- bytes.Clone(p)
	return len(p), nil
}

func TestAFullPipeHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &stuck{read: make(chan []byte)}
		w := logline.NewWriter()
		go w.Run(t.Context(), out)
		begin := time.Now()
		for i := range 1000 {
			if _, err := fmt.Fprintf(w, "line %d\n", i); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if took := time.Since(begin); took != 0 {
			t.Errorf("writing took %v", took)
		}
		w.Flush(time.Second)
		if took := time.Since(begin); took != time.Second {
			t.Errorf("a flush that cannot end took %v", took)
		}
		// 256 wait and one is in the writer's hands.
		if n := w.Dropped(); n != 1000-257 {
			t.Errorf("%d lines dropped", n)
		}
		if first := <-out.read; string(first) != "line 0\n" {
			t.Errorf("first line %q", first)
		}
		if second := <-out.read; !bytes.Contains(second, []byte(`"lines":743`)) {
			t.Errorf("after the first line came %q, want the number of those that are lost", second)
		}
		for i := 1; i < 257; i++ {
			if line := <-out.read; string(line) != fmt.Sprintf("line %d\n", i) {
				t.Fatalf("line %d is %q", i, line)
			}
		}
		if _, err := w.Write([]byte("again\n")); err != nil {
			t.Fatal(err)
		}
		if line := <-out.read; string(line) != "again\n" {
			t.Errorf("line %q", line)
		}
	})
}

func TestBothLoggersShareALevel(t *testing.T) {
	h, log := logline.New(&bytes.Buffer{}, "warn")
	if h.GetLevel() != hclog.Warn || log.Enabled(t.Context(), slog.LevelInfo) || !log.Enabled(t.Context(), slog.LevelWarn) {
		t.Errorf("levels differ: %v", h.GetLevel())
	}
}
