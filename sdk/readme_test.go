package sdk_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/halo-ha/halo/sdk"
	"github.com/halo-ha/halo/sdk/check"
	"github.com/halo-ha/halo/sdk/internal/handshake"
	"github.com/halo-ha/halo/sdk/schema"
)

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestREADMEShowsTheExample: what the walk-through quotes is what is built.
func TestREADMEShowsTheExample(t *testing.T) {
	readme := readFile(t, "README.md")
	example := readFile(t, filepath.Join("..", "contrib", "example-plugin", "main.go"))
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(readme, -1)
	if len(blocks) < 4 {
		t.Fatalf("%d blocks of Go in README.md", len(blocks))
	}
	for _, block := range blocks {
		if !strings.Contains(example, block[1]) {
			t.Errorf("not in contrib/example-plugin/main.go:\n%s", block[1])
		}
	}
}

// TestREADMENamesEverything: a word that a person may meet is explained.
func TestREADMENamesEverything(t *testing.T) {
	readme := readFile(t, "README.md")
	want := []string{handshake.CookieEnv, handshake.LifelineEnv, handshake.LogLevelEnv}
	for r := check.ReasonNone; r.Known(); r++ {
		want = append(want, "`"+r.String()+"`")
	}
	for _, key := range append(schema.Reserved(schema.KindCheck), schema.Reserved(schema.KindTrack)...) {
		want = append(want, "`"+key+"`")
	}
	for _, tag := range []string{"halo", "doc", "default", "required", "min", "max", "enum", "sensitive", "capability"} {
		want = append(want, tag+`:"`)
	}
	minor := sdk.Version[:strings.LastIndexByte(sdk.Version, '.')]
	for _, word := range append(want, "| "+minor+" |") {
		if !strings.Contains(readme, word) {
			t.Errorf("README.md does not mention %s", word)
		}
	}
}

// TestREADMELinksLead: every relative link leads to a file.
func TestREADMELinksLead(t *testing.T) {
	for _, link := range regexp.MustCompile(`\]\(([^)#]+)\)`).FindAllStringSubmatch(readFile(t, "README.md"), -1) {
		if strings.Contains(link[1], "://") {
			continue
		}
		if _, err := os.Stat(link[1]); err != nil {
			t.Error(err)
		}
	}
}
