package config

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"
)

// places writes the tree as lines "path key-line:column value-line:column".
func places(src *source, n *node, path string) []string {
	var lines []string
	visit := func(child *node, at string) {
		key, start := src.position(child.key), src.position(child.start)
		lines = append(lines, fmt.Sprintf("%s %d:%d %d:%d", at, key.Line, key.Column, start.Line, start.Column))
		lines = append(lines, places(src, child, at)...)
	}
	for _, name := range n.names {
		visit(n.entries[name], join(path, name))
	}
	for i, item := range n.items {
		visit(item, index(path, i))
	}
	return lines
}

func TestScanFindsPlaces(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		want       []string
	}{
		{"nothing", "", nil},
		{"comments and blank lines", "# a = 1\n\n\t# b = 2", nil},
		{"plain keys", "a = 1\n  b=2 # c = 3\n", []string{"a 1:1 1:5", "b 2:3 2:5"}},
		{"no line end after the last", "a = 1\nb = 2", []string{"a 1:1 1:5", "b 2:1 2:5"}},
		{"line ends of DOS", "a = 1\r\n[b]\r\nc = 2\r\n", []string{"a 1:1 1:5", "b 2:2 2:2", "b.c 3:1 3:5"}},
		{
			"columns are characters, not bytes",
			`a = { "ä" = 1, b = "öü", c = 2 }`,
			[]string{"a 1:1 1:5", `a."ä" 1:7 1:13`, "a.b 1:16 1:20", "a.c 1:26 1:30"},
		},
		{
			"dotted keys, with blanks around the dots",
			"a.b = 1\na . c\t=  2",
			[]string{"a 1:1 1:1", "a.b 1:3 1:7", "a.c 2:5 2:10"},
		},
		{
			"quoted keys with dots and escapes",
			`"a.b" = 1` + "\n" + `'c"d' = 2` + "\n" + `"e\"\u00e9" = 3` + "\n" + `"" = 4`,
			[]string{`"a.b" 1:1 1:9`, `"c\"d" 2:1 2:9`, `"e\"é" 3:1 3:15`, `"" 4:1 4:6`},
		},
		{
			"headers, before and after the tables within",
			"[a.b]\nc = 1\n[a]\nd = 2\n",
			[]string{"a 3:2 3:2", "a.b 1:4 1:4", "a.b.c 2:1 2:5", "a.d 4:1 4:5"},
		},
		{
			"lists of tables with tables within",
			"[[a]]\nb = 1\n[a.c]\nd = 2\n[[a.e]]\n[[a]]\n[[a.e]]\nf = 3\n",
			[]string{
				"a 1:3 1:3", "a[0] 1:3 1:3", "a[0].b 2:1 2:5", "a[0].c 3:4 3:4", "a[0].c.d 4:1 4:5",
				"a[0].e 5:5 5:5", "a[0].e[0] 5:5 5:5",
				"a[1] 6:3 6:3", "a[1].e 7:5 7:5", "a[1].e[0] 7:5 7:5", "a[1].e[0].f 8:1 8:5",
			},
		},
		{
			"lists over several lines, with comments and a last comma",
			"a = [ # [\n  1, # ]\n  [2,3],\n]\nb = 4",
			[]string{"a 1:1 1:5", "a[0] 2:3 2:3", "a[1] 3:3 3:3", "a[1][0] 3:4 3:4", "a[1][1] 3:6 3:6", "b 5:1 5:5"},
		},
		{
			"tables in braces, on one line and on several",
			"a = [{ b = 1, c.d = [2] }, {}]\ne = {\n  f = 1, # }\n  g = 2,\n}\n",
			[]string{
				"a 1:1 1:5", "a[0] 1:6 1:6", "a[0].b 1:8 1:12", "a[0].c 1:15 1:15", "a[0].c.d 1:17 1:21", "a[0].c.d[0] 1:22 1:22", "a[1] 1:28 1:28",
				"e 2:1 2:5", "e.f 3:3 3:7", "e.g 4:3 4:7",
			},
		},
		{
			"strings that hold what looks like TOML",
			`a = "b = 1 # ] } \" x"` + "\n" + `c = 'd = "\'` + "\ne = 1",
			[]string{"a 1:1 1:5", "c 2:1 2:5", "e 3:1 3:5"},
		},
		{
			"strings over several lines, and quotes at their ends",
			"a = \"\"\"\nb = 1\n[c]\n\\\"\"\" \"\"\"\"\"\nd = '''\n''e'''''\nf = 1",
			[]string{"a 1:1 1:5", "d 5:1 5:5", "f 7:1 7:5"},
		},
		{"dates with a blank", "a = 1979-05-27 07:32:00Z # x\nb = [1979-05-27, 07:32:00]", []string{"a 1:1 1:5", "b 2:1 2:5", "b[0] 2:6 2:6", "b[1] 2:18 2:18"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			found := scan(test.text)
			if !found.complete || found.again != nil || found.tooDeep >= 0 {
				t.Fatalf("scan says complete %t, again %v, too deep %d", found.complete, found.again, found.tooDeep)
			}
			if diff := cmp.Diff(test.want, places(newSource("", test.text), found.root, "")); diff != "" {
				t.Errorf("places (-want +got):\n%s", diff)
			}
			holds(t, test.text)
		})
	}
}

func TestScanFindsRepetitions(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text, path string
		first, second    string
	}{
		{"a key", "a = 1\nb = 2\na = 3", "a", "1:1", "3:1"},
		{"a key in a table", "[x.y]\na = 1\n a = 2", "x.y.a", "2:1", "3:2"},
		{"a key in braces", "a = [{}, { b = 1, b = 2 }]", "a[1].b", "1:12", "1:19"},
		{"a table", "[a.b]\n[c]\n[a.b]", "a.b", "1:4", "3:4"},
		{"a table and a key", "a.b = 1\n[a.b]", "a.b", "1:3", "2:4"},
		{"a table below a key", "a = 1\n[a.b]", "a", "1:1", "2:2"},
		{"a list and a table", "[a]\n[[a]]", "a", "1:2", "2:3"},
		{"a list in brackets and tables", "a = []\n[[a]]", "a", "1:1", "2:3"},
		{"a key below a list of tables", "[[a.b]]\n[a]\nb.c = 1", "a.b", "1:5", "3:1"},
		{"only the first is told", "a = 1\na = 2\nb = 1\nb = 2", "a", "1:1", "2:1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			found := scan(test.text)
			if found.again == nil {
				t.Fatal("no repetition found")
			}
			at := func(offset int) string {
				p := newSource("", test.text).position(offset)
				return fmt.Sprintf("%d:%d", p.Line, p.Column)
			}
			got := []string{found.again.path, at(found.again.first), at(found.again.second)}
			if diff := cmp.Diff([]string{test.path, test.first, test.second}, got); diff != "" {
				t.Errorf("repetition (-want +got):\n%s", diff)
			}
		})
	}
}

func TestScanBoundsDepth(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func(depth int) string{
		"lists":   func(n int) string { return "a = " + strings.Repeat("[", n) + strings.Repeat("]", n) },
		"braces":  func(n int) string { return "a = " + strings.Repeat("{a=", n-1) + "1" + strings.Repeat("}", n-1) },
		"keys":    func(n int) string { return strings.Repeat("a.", n-1) + "a = 1" },
		"headers": func(n int) string { return "[" + strings.Repeat("a.", n-1) + "a]" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if found := scan(make(maxDepth)); !found.complete || found.tooDeep >= 0 {
				t.Errorf("depth %d is refused", maxDepth)
			}
			if found := scan(make(maxDepth + 1)); found.complete || found.tooDeep < 0 {
				t.Errorf("depth %d is accepted", maxDepth+1)
			}
			if found := scan(make(1_000_000)); found.complete || found.tooDeep < 0 {
				t.Error("depth 1000000 is accepted")
			}
		})
	}
}

// holds proves the places of a text: at the place of each key stands the key,
// and what stands between the ends of a value is the value. The judge is the
// TOML library, which is given nothing but that piece of the text.
func holds(t testing.TB, text string) {
	t.Helper()
	var values map[string]any
	_, err := toml.Decode(text, &values)
	found := scan(text)
	if err != nil || found.again != nil || found.tooDeep >= 0 {
		return // Not TOML: nothing is promised.
	}
	if !found.complete {
		t.Fatalf("the scanner does not come to the end of valid TOML:\n%s", text)
	}
	if !found.root.attach(values) {
		t.Fatalf("scanner and library see different shapes in:\n%s", text)
	}
	proveNode(t, text, found.root)
}

func proveNode(t testing.TB, text string, n *node) {
	t.Helper()
	for name, child := range n.entries {
		if piece := text[child.key:]; isBareWord(name) && strings.HasPrefix(piece, name) {
			proveNode(t, text, child)
			continue
		}
		s := &scanner{text: text, at: child.key}
		if p, ok := s.simpleKey(); !ok || p.name != name {
			t.Fatalf("key %q is said to stand at %d, where %q stands, in:\n%s", name, child.key, text[child.key:], text)
		}
		proveNode(t, text, child)
	}
	for _, item := range n.items {
		proveNode(t, text, item)
	}
	if n.shape != scalar {
		return
	}
	var piece struct{ X any }
	if _, err := toml.Decode("x = "+text[n.start:n.end], &piece); err != nil {
		t.Fatalf("value %q at %d: %v", text[n.start:n.end], n.start, err)
	}
	if !sameScalar(piece.X, n.value) {
		t.Fatalf("value %q at %d is %v there and %v in the file", text[n.start:n.end], n.start, piece.X, n.value)
	}
}

func sameScalar(a, b any) bool {
	switch a := a.(type) {
	case float64:
		b, ok := b.(float64)
		return ok && (a == b || math.IsNaN(a) && math.IsNaN(b))
	case time.Time:
		b, ok := b.(time.Time)
		return ok && a.Equal(b)
	}
	return a == b
}
