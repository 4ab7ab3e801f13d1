package watch

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParseValue(t *testing.T) {
	for text, want := range map[string]int{
		"":                        0,
		" \n\t":                   0,
		"0":                       0,
		"7\n":                     7,
		"  -12 ":                  -12,
		"+3":                      3,
		"0x10":                    16,
		"010":                     8,
		"50 maintenance until 10": 50,
		"-2147483648":             math.MinInt32,
		"2147483647":              math.MaxInt32,
	} {
		if got, err := ParseValue(text); err != nil || got != want {
			t.Errorf("%q is %d, %v, want %d", text, got, err, want)
		}
	}
	if got, err := ParseValue("2147483648"); err != nil || uint32(got) != 1<<31 && got != math.MaxInt {
		t.Errorf("the largest number is %d, %v", got, err)
	}
	for _, text := range []string{"x", "7x", "1.5", "2147483649", "-2147483649", "99999999999999999999", "1_000", "--1", "\x00", "08"} {
		if got, err := ParseValue(text); err == nil {
			t.Errorf("%q is %d, want an error", text, got)
		}
	}
}

func FuzzParseValue(f *testing.F) {
	for _, s := range []string{"", "7", "-0x1f\n", "1e3", " 2147483648 x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseValue(s)
		if err != nil && n != 0 {
			t.Errorf("%q gives %d beside an error", s, n)
		}
		if n < math.MinInt32 || int64(n) > math.MaxInt32+1 {
			t.Errorf("%q gives %d", s, n)
		}
		if err != nil && len(err.Error()) > 256 {
			t.Errorf("%q gives a message of %d bytes", s, len(err.Error()))
		}
	})
}

func TestReadContent(t *testing.T) {
	directory := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(directory, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	fifo := filepath.Join(directory, "fifo")
	if err := unix.Mkfifo(fifo, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		path, want string
		fleeting   bool
	}{
		{write("number", "5\n"), "up 5", false},
		{write("zero", "0\n"), "up", false},
		{write("blank", " \n"), "up", true},
		{write("words", "not a number"), "unknown not_a_number", false},
		{write("long", "6 "+strings.Repeat("x", 1<<20)), "up 6", false},
		{filepath.Join(directory, "missing"), "up missing", true},
		{filepath.Join(directory, "missing", "too"), "up missing", true},
		{filepath.Join(directory, "number", "below"), "up missing", true},
		{directory, "unknown local_error", false},
		{fifo, "unknown local_error", false},
		{"/dev/zero", "unknown local_error", false},
	} {
		got := readContent(row.path)
		if words(got.Observed) != row.want || got.fleeting != row.fleeting {
			t.Errorf("%s: %q, fleeting %v, want %q, %v (%s)", row.path, words(got.Observed), got.fleeting, row.want, row.fleeting, got.Detail)
		}
	}
}
