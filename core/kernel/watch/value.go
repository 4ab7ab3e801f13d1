package watch

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/halo-ha/halo/core/track"
)

// The reasons of observations here, beside none.
const (
	reasonMissing = "missing"      // there is no such file, which counts as 0
	reasonNumber  = "not_a_number" // it does not begin with a number in range
	reasonLocal   = "local_error"  // it cannot be read
)

// mostRead is how much of a file is read: a number, and perhaps a few words
// about it for people.
const mostRead = 4096

// ParseValue reads the number that a tracked file holds: its first word, in
// decimal or as C writes numbers (0x10, 010), within -2147483648..2147483648.
// A blank file is 0. Keepalived takes a first word that is no number for 0;
// here it is an error, since 0 usually stands for all is well.
func ParseValue(content string) (int, error) {
	words := strings.Fields(content)
	if len(words) == 0 {
		return 0, nil
	}
	n, err := strconv.ParseInt(words[0], 0, 64)
	if err != nil || strings.Contains(words[0], "_") || n < math.MinInt32 || n > math.MaxInt32+1 {
		return 0, fmt.Errorf("%.40q is not a number within %d..%d", words[0], math.MinInt32, int64(math.MaxInt32+1))
	}
	return int(min(n, math.MaxInt)), nil
}

// content is what one look at a file found.
type content struct {
	track.Observed
	// fleeting says that the file is missing or blank, as it is for a moment
	// while it is being rewritten.
	fleeting bool
}

// readContent reads a file. Nothing but a regular file is read: opening or
// reading others can wait for ever.
func readContent(path string) content {
	text, err := readRegular(path)
	switch {
	case absent(err):
		return content{track.Observed{State: track.Up, Reason: reasonMissing}, true}
	case err != nil:
		return content{track.Observed{Reason: reasonLocal, Detail: err.Error()}, false}
	}
	n, err := ParseValue(text)
	if err != nil {
		return content{track.Observed{Reason: reasonNumber, Detail: err.Error()}, false}
	}
	return content{track.Observed{State: track.Up, Value: n}, strings.TrimSpace(text) == ""}
}

func readRegular(path string) (string, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return "", err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("read %s: it is not a regular file", path)
	}
	text, err := io.ReadAll(io.LimitReader(file, mostRead))
	return string(text), err
}

// absent reports whether an error says that there is no such file.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR)
}
