package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzParse holds what is promised of any bytes at all: Parse comes to an end
// without a panic, there is a generation exactly when there is no error, every
// problem stands in the file, and the places of a file that is TOML are right.
func FuzzParse(f *testing.F) {
	for _, dir := range []string{"good", "bad", "odd", "settings"} {
		for _, path := range files(f, dir) {
			addFile(f, path)
		}
	}
	addFile(f, referenceFile)
	for _, text := range []string{
		"", "\x00", "[", "[[", "a", "a=", "a=[", "a={", "a=\"", "a='''", "=", ".", "a.=1", "\"\"=1", "a=1#", "a=nan", "a=1979-05-27 07:32:00",
		"[a]\n[[a]]", "a.b=1\na.b.c=2", "[[a.b]]\n[a]\nb.c=1", "a=[{b=1},{b=2}]\n[[a]]", "a=\"\"\"\"\"\"\"\"", `"\u00e9"=1`, `"\x41"=1`, `"\ud800"=1`,
		"[virtual_server]\na=1", "virtual_server=1", "virtual_server=[{}]", "[vrrp_instance.\"\"]", "[plugin.a.b.c]", "[a.b.c.d]\n[a.b]",
		"[virtual_server.a]\ncheck=[[],{},1,{type=1},{type=\"stub\",headers={},codes=[1,\"a\"]}]\nreal_server=[1]",
		"[virtual_server.a.real_server]\n[virtual_server.a.check]", "vrrp_instance.VI_1.addresses = [\"192.0.2.1\", 1, [], {}]",
	} {
		f.Add([]byte(text))
	}
	catalogue := testCatalogue(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		g, problems := parse("f", data, catalogue, testMachine())
		if (g == nil) != problems.HasErrors() {
			t.Fatalf("generation is nil: %t, and the problems are:\n%s", g == nil, problems)
		}
		lines := strings.Split(string(data), "\n")
		before := Position{}
		for _, p := range problems {
			if p.Message == "" || p.File != "f" {
				t.Fatalf("a problem says too little: %+v", p)
			}
			if p.Line == 0 {
				continue
			}
			if p.Line < before.Line || p.Line == before.Line && p.Column < before.Column {
				t.Fatalf("problems are out of order:\n%s", problems)
			}
			if p.Line > len(lines) || p.Column < 1 || p.Column > len([]rune(lines[p.Line-1]))+1 {
				t.Fatalf("%s is not in the file", p.Position)
			}
			before = p.Position
		}
		if d := Diff(g, g); !d.Empty() {
			t.Fatalf("a generation differs from itself:\n%s", d)
		}
		if checkText("f", data) == nil {
			holds(t, string(data))
		}
	})
}

func addFile(f *testing.F, path string) {
	f.Helper()
	data, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
}
