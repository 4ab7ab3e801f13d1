package main

import (
	"bytes"
	"flag"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

var rewrite = flag.Bool("rewrite", false, "write the man pages anew instead of comparing them")

// manDir is where the man pages are kept.
const manDir = "../../contrib/man"

// TestManPages proves that the man pages say what --help says and what the
// reference configuration says. With -rewrite it writes them (make generate).
func TestManPages(t *testing.T) {
	pages := commandPages(t)
	pages["halo.toml.5"] = configPage(t)
	if *rewrite {
		for name, text := range pages {
			if err := os.WriteFile(filepath.Join(manDir, name), text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	err := filepath.WalkDir(manDir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && pages[d.Name()] == nil {
			t.Errorf("%s: no command of that name", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range pages {
		got, err := os.ReadFile(filepath.Join(manDir, name))
		if err != nil {
			t.Errorf("%v; run make generate", err)
			continue
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s is not what the program says (run make generate):\n%s", name, diff)
		}
	}
}

func commandPages(t *testing.T) map[string][]byte {
	t.Helper()
	pages := map[string][]byte{}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if !c.IsAvailableCommand() && c.HasParent() {
			return
		}
		c.DisableAutoGenTag = true
		// The socket's default depends on the environment; the page has the
		// built-in one.
		if f := c.Flags().Lookup("socket"); f != nil {
			f.DefValue = defaultSocket
		}
		name := strings.ReplaceAll(c.CommandPath(), " ", "-")
		var page bytes.Buffer
		date := time.Time{}
		header := &doc.GenManHeader{Title: strings.ToUpper(name), Section: "8", Source: "halo", Manual: "halo", Date: &date}
		if err := doc.GenMan(c, header, &page); err != nil {
			t.Fatal(err)
		}
		// The date would change with every build; it says nothing.
		pages[name+".8"] = bytes.Replace(page.Bytes(), []byte(`"Jan 0001"`), []byte(`""`), 1)
		for _, child := range c.Commands() {
			walk(child)
		}
	}
	walk(newRoot(io.Discard, io.Discard))
	return pages
}

func configPage(t *testing.T) []byte {
	t.Helper()
	reference, err := os.ReadFile("../../contrib/halo.reference.toml")
	if err != nil {
		t.Fatal(err)
	}
	var page bytes.Buffer
	page.WriteString(`.TH "HALO.TOML" "5" "" "halo" "halo"
.SH NAME
halo.toml \- configuration of halo
.SH DESCRIPTION
The file is TOML and strict: an unknown key, a wrong type, a value out of range
or a reference to nothing is an error with file, line, column and what was
expected.
.B halo check
reports all of them. Durations are strings with a unit ("1.5s", "100ms"),
addresses are strings ("192.0.2.10/24"), endpoints "IP:port". Objects are tables
keyed by name.
.SH REFERENCE
Every key with its meaning, default and range:
.PP
.nf
`)
	for line := range strings.Lines(string(reference)) {
		line = strings.ReplaceAll(line, `\`, `\e`)
		line = strings.ReplaceAll(line, "-", `\-`)
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			line = `\&` + line
		}
		page.WriteString(line)
	}
	page.WriteString(".fi\n.SH SEE ALSO\n.BR halo (8)\n")
	return page.Bytes()
}
