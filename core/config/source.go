package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxSize is the largest file that is read. A table of 40,000 real servers
// with checks of their own takes 10 MiB.
const maxSize = 64 << 20

// block is how many bytes lie between two counts of characters.
const block = 1024

// source is the text of one file and knows the place of every byte of it. It
// is never changed, so any number of goroutines may ask.
type source struct {
	name  string
	text  string
	lines []int // the offset at which each line begins
	// counts holds how many characters begin before each multiple of block, so
	// that a file on one long line costs no more than one on many.
	counts []int
}

func newSource(name, text string) *source {
	s := &source{
		name:   name,
		text:   text,
		lines:  make([]int, 1, strings.Count(text, "\n")+1),
		counts: make([]int, 1, len(text)/block+1),
	}
	for i := range len(text) {
		if text[i] == '\n' {
			s.lines = append(s.lines, i+1)
		}
	}
	for end := block; end <= len(text); end += block {
		s.counts = append(s.counts, s.counts[len(s.counts)-1]+characters(text[end-block:end]))
	}
	return s
}

// characters counts the characters that begin in text, which may be a piece of
// UTF-8 cut anywhere.
func characters(text string) int {
	count := 0
	for i := range len(text) {
		if utf8.RuneStart(text[i]) {
			count++
		}
	}
	return count
}

// before counts the characters that begin before offset.
func (s *source) before(offset int) int {
	n := offset / block
	return s.counts[n] + characters(s.text[n*block:offset])
}

// position turns a byte offset into a line and a column in characters.
func (s *source) position(offset int) Position {
	offset = min(max(offset, 0), len(s.text))
	line := s.line(offset)
	return Position{File: s.name, Line: line, Column: s.before(offset) - s.before(s.lines[line-1]) + 1}
}

// line returns the number of the line that holds offset.
func (s *source) line(offset int) int {
	i, found := slices.BinarySearch(s.lines, offset)
	if found {
		return i + 1
	}
	return i
}

// readFile returns the bytes of the file at path and its mode, or why there are
// none.
func readFile(path string) (data []byte, mode fs.FileMode, problem *Problem) {
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, unreadable(path, err)
	}
	defer func() { _ = file.Close() }() // Only read: closing loses nothing.
	if data, err = io.ReadAll(io.LimitReader(file, maxSize+1)); err != nil {
		return nil, 0, unreadable(path, err)
	}
	if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
		mode = info.Mode()
	}
	return data, mode, nil
}

// unreadable words an error of the operating system. The path is left out of
// the message since the position holds it.
func unreadable(path string, err error) *Problem {
	problem := &Problem{Position: Position{File: path}}
	var pathError *fs.PathError
	switch {
	case path == "":
		problem.Message, problem.Expected = "no file is named", "the path of a configuration file"
	case errors.Is(err, fs.ErrNotExist):
		problem.Message = "the file does not exist"
	case errors.As(err, &pathError):
		problem.Message = "the file cannot be read: " + pathError.Err.Error()
	default:
		problem.Message = "the file cannot be read: " + err.Error()
	}
	return problem
}

// checkText refuses bytes that are not the text of a TOML file.
func checkText(name string, data []byte) *Problem {
	if len(data) > maxSize {
		return &Problem{
			Position: Position{File: name},
			Message:  fmt.Sprintf("the file is larger than %d MiB", maxSize>>20),
			Expected: "a configuration file",
		}
	}
	text := string(data)
	at := func(offset int, message string) *Problem {
		return &Problem{Position: newSource(name, text).position(offset), Message: message, Expected: "UTF-8 text without a byte order mark"}
	}
	switch {
	case strings.HasPrefix(text, "\xef\xbb\xbf"):
		return at(0, "the file begins with a byte order mark")
	case strings.HasPrefix(text, "\xff\xfe"), strings.HasPrefix(text, "\xfe\xff"):
		return at(0, "the file is UTF-16")
	}
	if bad := invalidUTF8(text); bad >= 0 {
		return at(bad, fmt.Sprintf("the byte 0x%02x is not UTF-8", text[bad]))
	}
	if nul := strings.IndexByte(text, 0); nul >= 0 {
		return at(nul, "the file holds a NUL byte")
	}
	return nil
}

// invalidUTF8 returns the offset of the first byte that is not UTF-8, or -1.
func invalidUTF8(text string) int {
	for i, r := range text {
		if r != utf8.RuneError {
			continue
		}
		if _, size := utf8.DecodeRuneInString(text[i:]); size == 1 {
			return i
		}
	}
	return -1
}
