package pluginhost

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/halo-ha/halo/sdk/schema"
)

func touch(t *testing.T, path string) {
	t.Helper()
	mustDo(t, os.MkdirAll(filepath.Dir(path), 0o755))
	mustDo(t, os.WriteFile(path, []byte("x"), 0o755))
}

func TestFindTakesTheFirstAndReportsTheShadowed(t *testing.T) {
	root := t.TempDir()
	for _, path := range []string{
		"a/halo-check-tcp", "a/halo-notify-script", "a/halo-plugins", "a/halo-check-", "a/halo-check-UP", "a/readme",
		"b/halo-check-tcp", "b/halo-track-file", "a/halo-check-dir/x",
	} {
		touch(t, filepath.Join(root, path))
	}
	dirs := []string{root + "/a", root + "/missing", root + "/b", root + "/a"}
	got, err := find(dirs)
	if err != nil {
		t.Fatal(err)
	}
	want := []found{
		{name: "halo-check-tcp", path: root + "/a/halo-check-tcp", shadows: []string{root + "/b/halo-check-tcp"}},
		{name: "halo-notify-script", path: root + "/a/halo-notify-script"},
		{name: "halo-track-file", path: root + "/b/halo-track-file"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("found %+v, want %+v", got, want)
	}
	for name, want := range map[string]string{
		"halo-check-tcp": root + "/a/halo-check-tcp", "halo-track-file": root + "/b/halo-track-file",
	} {
		if f, err := locate(dirs, name); err != nil || f.path != want {
			t.Errorf("locate %s = %s, %v", name, f.path, err)
		}
	}
	if _, err := locate(dirs, "halo-check-smtp"); err == nil || !strings.Contains(err.Error(), root+"/a, "+root+"/missing") {
		t.Errorf("a plugin that is not there: %v", err)
	}
	if _, err := locate(dirs, "../../bin/sh"); err == nil {
		t.Error("a name with a path in it is looked for")
	}
}

func TestFindReportsAnUnreadableDirectoryAndGoesOn(t *testing.T) {
	root := t.TempDir()
	touch(t, root+"/file")
	touch(t, root+"/b/halo-check-tcp")
	got, err := find([]string{root + "/file", root + "/b"})
	if err == nil || !strings.Contains(err.Error(), root+"/file") {
		t.Errorf("a directory that is a file: %v", err)
	}
	if len(got) != 1 || got[0].name != "halo-check-tcp" {
		t.Errorf("found %+v", got)
	}
}

func TestParseDescription(t *testing.T) {
	const good = `{"name":"halo-check-x","version":"1","sdk":"go/1","protocols":[1],"types":[{"name":"x","kind":"check","doc":"d","settings":null}]}`
	d, err := parseDescription("halo-check-x", "/p", []byte(good), []int{1})
	if err != nil || d.Types[0].Kind != schema.KindCheck {
		t.Fatalf("parseDescription = %+v, %v", d, err)
	}
	tests := []struct{ name, old, replacement, want string }{
		{"no JSON", good, "usage: halo-check-x", "read its answer"},
		{"another name", `"name":"halo-check-x"`, `"name":"halo-check-y\u001b"`, `it calls itself "halo-check-y·"`},
		{"unknown kind", `"kind":"check"`, `"kind":"dance"`, "kind is dance"},
		{"no types", `[{"name":"x","kind":"check","doc":"d","settings":null}]`, `[]`, "types"},
		{"bad type name", `"name":"x"`, `"name":"X y"`, "types"},
		{"no protocols", `[1]`, `[]`, "speaks no protocol"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := strings.Replace(good, tt.old, tt.replacement, 1)
			_, err := parseDescription("halo-check-x", "/p", []byte(in), []int{1})
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "/p") {
				t.Errorf("error %v lacks %q, or the path", err, tt.want)
			}
		})
	}
}

func TestIncompatibleNamesBothRangesAndTheSideToUpgrade(t *testing.T) {
	tests := []struct {
		plugin, host []int
		want         string
	}{
		{[]int{3}, []int{1}, "plugin halo-check-x (/p) speaks protocol 3, this halo speaks protocol 1: upgrade halo, or install an older version of the plugin"},
		{[]int{1}, []int{3, 2}, "plugin halo-check-x (/p) speaks protocol 1, this halo speaks protocols 2 to 3: upgrade the plugin"},
		{[]int{5, 3, 4}, []int{2, 1}, "plugin halo-check-x (/p) speaks protocols 3 to 5, this halo speaks protocols 1 to 2: upgrade halo, or install an older version of the plugin"},
		{[]int{1, 4, 4}, []int{2}, "plugin halo-check-x (/p) speaks protocols 1, 4, this halo speaks protocol 2: upgrade the plugin"},
	}
	for _, tt := range tests {
		versions, err := json.Marshal(tt.plugin)
		mustDo(t, err)
		text := `{"name":"halo-check-x","protocols":` + string(versions) + `,"types":"in another shape"}`
		_, err = parseDescription("halo-check-x", "/p", []byte(text), tt.host)
		var incompatible *IncompatibleError
		if !errors.As(err, &incompatible) || err.Error() != tt.want {
			t.Errorf("got  %v\nwant %s", err, tt.want)
		}
	}
}

func TestCommonIsTheHighest(t *testing.T) {
	if v, ok := common([]int{1, 3, 2}, []int{2, 1, 3, 4}); v != 3 || !ok {
		t.Errorf("common = %d, %v", v, ok)
	}
	if _, ok := common([]int{3}, []int{1, 2}); ok {
		t.Error("there is a common version of 3 and 1 to 2")
	}
}
