package pluginhost

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

func TestReadLines(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	tests := []struct {
		name, in string
		want     []string // a cut line ends in "+"
	}{
		{"nothing", "", nil},
		{"lines", "a\nb\n", []string{"a", "b"}},
		{"empty lines", "\n\na\n", []string{"", "", "a"}},
		{"no end", "a\nb", []string{"a", "b"}},
		{"a megabyte without an end", long, []string{long[:longestLine] + "+"}},
		{"a megabyte between lines", "a\n" + long + "\nb\n", []string{"a", long[:longestLine] + "+", "b"}},
		{"just too long", strings.Repeat("y", longestLine) + "\nb\n", []string{strings.Repeat("y", longestLine) + "+", "b"}},
		{"just not too long", strings.Repeat("y", longestLine-1) + "\nb\n", []string{strings.Repeat("y", longestLine-1), "b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			readLines(iotest.HalfReader(strings.NewReader(tt.in)), func(text []byte, cut bool) {
				line := string(text)
				if cut {
					line += "+"
				}
				got = append(got, line)
			})
			if len(got) != len(tt.want) {
				t.Fatalf("%d lines, want %d", len(got), len(tt.want))
			}
			for i := range got {
				if got[i] != tt.want[i] {
					t.Errorf("line %d: %.40q of %d bytes, want %.40q of %d", i, got[i], len(got[i]), tt.want[i], len(tt.want[i]))
				}
			}
		})
	}
}

// endless is a plugin that floods its stderr.
type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = '\n'
	}
	return len(b), nil
}

func TestPacedReadsNoFasterThanItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := paced{r: endless{}}
		start, total := time.Now(), 0
		buffer := make([]byte, longestLine)
		for total < outputBurst+10*outputRate {
			n, err := r.Read(buffer)
			if err != nil {
				t.Fatal(err)
			}
			total += n
		}
		if took := time.Since(start).Round(time.Second); took != 10*time.Second {
			t.Errorf("ten seconds' worth beyond the burst took %s", took)
		}
	})
}

func TestPluginLogIsLimitedAndSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := pluginLog{logger: slog.New(slog.NewTextHandler(&out, nil))}
		for range 10_000 {
			l.write(t.Context(), entry{text: "again"}, "stderr", false)
		}
		if n := strings.Count(out.String(), "\n"); n != logBurst {
			t.Errorf("10,000 lines at once fill %d lines of the log, want %d", n, logBurst)
		}
		out.Reset()
		time.Sleep(time.Second)
		for range 100 {
			l.write(t.Context(), entry{text: "again"}, "stderr", true)
		}
		if n := strings.Count(out.String(), "\n"); n != logRate {
			t.Errorf("a second later %d more lines, want %d", n, logRate)
		}
		if want := "line=again cut=true dropped_before=9950"; !strings.Contains(out.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, out.String())
		}
	})
}

func TestLineWriterCutsLines(t *testing.T) {
	var out bytes.Buffer
	w := lineWriter{log: &pluginLog{logger: slog.New(slog.NewTextHandler(&out, nil))}, stream: "stdout"}
	for _, piece := range []string{"he", "llo\nwor", "ld\n", strings.Repeat("z", 3*longestLine), "tail\nlast\n"} {
		if n, err := w.Write([]byte(piece)); n != len(piece) || err != nil {
			t.Fatalf("Write = %d, %v", n, err)
		}
	}
	got := out.String()
	for _, want := range []string{"line=hello\n", "line=world\n", "z cut=true\n", "line=last\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("the log lacks %q:\n%s", want, got)
		}
	}
	if strings.Contains(got, "tail") || cap(w.line) > 4*longestLine {
		t.Errorf("the rest of a line that is too long was kept")
	}
}
