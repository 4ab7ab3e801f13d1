// Package scenario plays the scripts that show what a pure machine does.
//
// It is imported by tests only. A script is a list of paragraphs: commands, a line
// "----", and the trace that they leave. "#" begins a line of remarks; a paragraph
// that ends in one has no commands and no trace. What the commands mean is the
// package's whose machine is played. `go test -rewrite` writes the traces anew, and
// a changed line is explained in the commit that changes it.
//
// Read Run first.
package scenario

import (
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "write the traces in testdata anew") //nolint:gochecknoglobals // a flag has to be there before main

// Run plays every script in testdata and compares it with what play returns of it.
func Run(t *testing.T, play func(t *testing.T, script string) string) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(want))
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("trace differs (-file +now), go test -rewrite accepts it:\n%s", diff)
			}
		})
	}
}

// Play runs a script paragraph by paragraph, and returns it with the traces that
// its commands really leave, every line of them ended. run gets the commands
// without remarks.
func Play(script string, run func(commands []string) (trace string)) string {
	var result strings.Builder
	for paragraph := range strings.SplitSeq(strings.TrimRight(script, "\n"), "\n\n") {
		text, _, _ := strings.Cut(paragraph+"\n", "----\n")
		result.WriteString(text)
		if commands, ends := Commands(text); !ends {
			result.WriteString("----\n" + run(commands))
		}
		result.WriteString("\n")
	}
	return strings.TrimRight(result.String(), "\n") + "\n"
}

// Commands are the lines of a text that are no remarks, and whether it ends in one
// that is.
func Commands(text string) (commands []string, endsInRemark bool) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if endsInRemark = strings.HasPrefix(line, "#"); !endsInRemark && line != "" {
			commands = append(commands, line)
		}
	}
	return commands, endsInRemark
}

// Start is when scripts begin.
func Start() time.Time { return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) }

// Pass lets time go by from now on: fire is called at each deadline within it, and
// at the end it is the time that is returned.
func Pass(now time.Time, d time.Duration, deadline func() (time.Time, bool), fire func(at time.Time)) time.Time {
	end := now.Add(d)
	for {
		at, ok := deadline()
		if !ok || at.After(end) {
			return end
		}
		fire(at)
	}
}

// Number reads a whole number.
func Number(tb testing.TB, word string) int {
	tb.Helper()
	n, err := strconv.Atoi(word)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// Byte reads a number of one byte.
func Byte(tb testing.TB, word string) uint8 {
	tb.Helper()
	n, err := strconv.ParseUint(word, 10, 8)
	if err != nil {
		tb.Fatal(err)
	}
	return uint8(n)
}

// Duration reads a length of time.
func Duration(tb testing.TB, word string) time.Duration {
	tb.Helper()
	d, err := time.ParseDuration(word)
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// Versioned splits a name from the version behind its "@", which is "1" without
// one.
func Versioned(word string) (name, version string) {
	name, version, _ = strings.Cut(word, "@")
	if version == "" {
		version = "1"
	}
	return name, version
}
