package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// narrator writes the story: chapters, lines with the time since the start,
// and, indented, what programs printed.
type narrator struct {
	out     io.Writer
	colour  bool
	started time.Time
	chapter int
	apart   bool // the last line is blank
	now     func() time.Time
}

func newNarrator(out io.Writer, colour bool) *narrator {
	return &narrator{out: out, colour: colour, started: time.Now(), now: time.Now}
}

// ruler is how wide a chapter's line is.
const ruler = 76

// begin opens a chapter.
func (n *narrator) begin(title string) {
	n.chapter++
	line := fmt.Sprintf("── %d. %s ", n.chapter, title)
	fill := max(ruler-len([]rune(line)), 0)
	n.gap()
	fmt.Fprintln(n.out, n.bold(line+strings.Repeat("─", fill)))
	n.apart = false
	n.gap()
}

// say tells what has just happened. Further lines of the text are aligned
// below the first.
func (n *narrator) say(format string, args ...any) {
	mark := fmt.Sprintf("%5.1f s  ", n.now().Sub(n.started).Seconds())
	text := strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "\n"+strings.Repeat(" ", len(mark)))
	fmt.Fprintf(n.out, "%s%s\n", n.dim(mark), text)
	n.apart = false
}

// gap leaves one blank line, and never two.
func (n *narrator) gap() {
	if !n.apart {
		fmt.Fprintln(n.out)
	}
	n.apart = true
}

// show prints what a person would have typed, and what it printed.
func (n *narrator) show(prompt, command, output string) {
	n.gap()
	fmt.Fprintf(n.out, "    %s%s\n", n.dim(prompt+"# "), command)
	n.apart = false
	for line := range strings.Lines(output) {
		if line = strings.TrimRight(line, " \n"); line == "" {
			n.gap()
			continue
		}
		fmt.Fprintf(n.out, "    %s\n", n.dim(line))
		n.apart = false
	}
	n.gap()
}

// print writes a text as it is.
func (n *narrator) print(text string) {
	fmt.Fprintln(n.out, text)
	n.apart = false
}

func (n *narrator) bold(text string) string { return n.sgr("1", text) }
func (n *narrator) dim(text string) string  { return n.sgr("2", text) }

// sgr is a terminal's "select graphic rendition" (ECMA-48 8.3.117).
func (n *narrator) sgr(code, text string) string {
	if !n.colour {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}
