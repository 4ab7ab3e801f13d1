package config

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/halo-ha/halo/sdk/schema"
)

// stubCatalogue is made of what plugins would say of themselves.
type stubCatalogue struct {
	plugins  []schema.Plugin
	searched []string
}

func (s *stubCatalogue) Search(dirs []string) { s.searched = dirs }

func (s *stubCatalogue) Type(kind schema.Kind, name string) (string, schema.Type, bool) {
	for _, p := range s.plugins {
		for _, t := range p.Types {
			if t.Kind == kind && t.Name == name {
				return p.Name, t, true
			}
		}
	}
	return "", schema.Type{}, false
}

func (s *stubCatalogue) Types(kind schema.Kind) []string {
	var names []string
	for _, p := range s.plugins {
		for _, t := range p.Types {
			if t.Kind == kind {
				names = append(names, t.Name)
			}
		}
	}
	return names
}

// configs is where the files are that all of halo's tests share.
const configs = "../../testdata/configs"

// testCatalogue reads the plugins of testdata/configs/catalogue.json.
func testCatalogue(t testing.TB) *stubCatalogue {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(configs, "catalogue.json"))
	if err != nil {
		t.Fatal(err)
	}
	c := &stubCatalogue{}
	if err := json.Unmarshal(data, &c.plugins); err != nil {
		t.Fatal(err)
	}
	for _, p := range c.plugins {
		if problems := schema.CheckPlugin(p); len(problems) > 0 {
			t.Fatalf("catalogue.json: %s: %v", p.Name, problems)
		}
	}
	return c
}

// builtInCatalogue is testCatalogue with the plugins that come with halo alone,
// so that what is said of a file is what `halo check` says.
func builtInCatalogue(t testing.TB) *stubCatalogue {
	t.Helper()
	c := testCatalogue(t)
	c.plugins = slices.DeleteFunc(c.plugins, func(p schema.Plugin) bool { return p.Name == "halo-check-stub" })
	return c
}

// testMachine is the same wherever the tests run.
func testMachine() machine {
	return machine{
		hostName:   "lb1",
		executable: "/opt/halo/bin/halo",
		hasAccount: func(name string) bool { return name == "halo" },
	}
}

// parseText parses a file called halo.toml.
func parseText(t testing.TB, text string) (*Generation, Problems) {
	t.Helper()
	return parse("halo.toml", []byte(text), testCatalogue(t), testMachine())
}

// mustParse parses a text that has no problem at all.
func mustParse(t testing.TB, text string) *Generation {
	t.Helper()
	g, problems := parseText(t, text)
	if len(problems) > 0 {
		t.Fatalf("unexpected problems:\n%s", problems)
	}
	return g
}

// files lists the .toml files in a directory below configs.
func files(t testing.TB, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(configs, dir, "*.toml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatalf("no files in %s", dir)
	}
	slices.Sort(found)
	return found
}
