package archtest

import (
	"strings"
	"testing"
	"testing/fstest"
)

// rule is one of Tree's judgements.
type rule func(*Tree) []string

func sizes(t *Tree) []string {
	findings, _ := t.Sizes()
	return findings
}

// TestRulesFire feeds each rule small trees. A row without want is one that
// the rule must let pass.
func TestRulesFire(t *testing.T) {
	tests := []struct {
		name  string
		rule  rule
		files map[string]string
		want  string // part of the only finding, "" for none
	}{
		// The import table.
		{"pure imports os", (*Tree).Imports, one("core/vrrp/a.go", `import "os"`), "no I/O"},
		{"pure imports os/exec", (*Tree).Imports, one("core/vrrp/a.go", `import "os/exec"`), "no I/O"},
		{"pure imports net", (*Tree).Imports, one("core/ipvs/a.go", `import "net"`), "no I/O"},
		{"pure imports net/http", (*Tree).Imports, one("core/ipvs/a.go", `import "net/http"`), "no I/O"},
		{"pure imports netip", (*Tree).Imports, one("core/ipvs/a.go", `import "net/netip"`), ""},
		{"pure imports log/slog", (*Tree).Imports, one("core/pool/a.go", `import "log/slog"`), "no I/O"},
		{"pure imports context", (*Tree).Imports, one("core/pool/a.go", `import "context"`), "no I/O"},
		{"pure imports syscall", (*Tree).Imports, one("core/track/a.go", `import "syscall"`), "no I/O"},
		{"pure imports sync", (*Tree).Imports, one("core/pool/a.go", `import "sync"`), "no I/O"},
		{"pure imports randomness", (*Tree).Imports, one("core/vrrp/a.go", `import "math/rand/v2"`), "no I/O"},
		{"pure imports strings", (*Tree).Imports, one("core/vrrp/a.go", `import "strings"`), ""},
		{"pure imports a module", (*Tree).Imports, one("core/vrrp/a.go", `import "golang.org/x/sys/unix"`), "standard library alone"},
		{"pure test reads a file", (*Tree).Imports, one("core/vrrp/a_test.go", `import "os"`), ""},
		{"pool imports ipvs", (*Tree).Imports, one("core/pool/a.go", own("core/ipvs")), ""},
		{"ipvs imports pool", (*Tree).Imports, one("core/ipvs/a.go", own("core/pool")), "not among"},
		{"vrrp imports wire", (*Tree).Imports, one("core/vrrp/a.go", own("core/vrrp/wire")), ""},
		{"wire imports vrrp", (*Tree).Imports, one("core/vrrp/wire/a.go", own("core/vrrp")), "not among"},
		{"pool imports vrrp", (*Tree).Imports, one("core/pool/a.go", own("core/vrrp")), "not among"},
		{"driver imports driver", (*Tree).Imports, one("core/speaker/a.go", own("core/vip")), "not among"},
		{"driver's test imports driver", (*Tree).Imports, one("core/speaker/a_test.go", own("core/vip")), "not among"},
		{"driver imports kernel", (*Tree).Imports, one("core/vip/a.go", own("core/kernel/rtnl")), "not among"},
		{"driver imports config", (*Tree).Imports, one("core/checks/a.go", own("core/config")), "not among"},
		{"driver imports pure", (*Tree).Imports, one("core/speaker/a.go", own("core/vrrp")), ""},
		{"driver imports the SDK's face", (*Tree).Imports, one("core/pluginhost/a.go", own("sdk/host")), ""},
		{"driver imports the SDK's inside", (*Tree).Imports, one("core/pluginhost/a.go", own("sdk")), "not among"},
		{"driver imports netlink", (*Tree).Imports, one("core/vip/a.go", `import "github.com/vishvananda/netlink"`), "only core/kernel"},
		{"driver imports raw sockets", (*Tree).Imports, one("core/speaker/a.go", `import "golang.org/x/net/ipv4"`), "only core/kernel"},
		{"driver imports the test kernel", (*Tree).Imports, one("core/vip/a.go", own("core/kernel/kerneltest")), "tests only"},
		{"pure package imports the scenarios", (*Tree).Imports, one("core/track/a.go", own("core/scenario")), "tests only"},
		{"pure package's test imports the scenarios", (*Tree).Imports, one("core/track/a_test.go", own("core/scenario")), ""},
		{"driver's test imports the test kernel", (*Tree).Imports, one("core/vip/a_test.go", own("core/kernel/kerneltest")), ""},
		{"kernel imports netlink", (*Tree).Imports, one("core/kernel/rtnl/a.go", `import "github.com/vishvananda/netlink"`), ""},
		{"kernel imports driver", (*Tree).Imports, one("core/kernel/rtnl/a.go", own("core/vip")), "not among"},
		{"config imports daemon", (*Tree).Imports, one("core/config/a.go", own("core/daemon")), "not among"},
		{"daemon connects", (*Tree).Imports, one("core/daemon/a.go", own("core/kernel/rtnl")), ""},
		{"daemon imports plugin", (*Tree).Imports, one("core/daemon/a.go", own("plugins/tcp")), "not among"},
		{"daemon speaks netlink", (*Tree).Imports, one("core/daemon/a.go", `import "github.com/mdlayher/netlink"`), "only core/kernel"},
		{"program imports plugin", (*Tree).Imports, one("cmd/halo/a.go", own("plugins/tcp")), "not among"},
		{"multi-call imports plugin", (*Tree).Imports, one("cmd/halo-plugins/a.go", own("plugins/tcp")), ""},
		{"multi-call imports core", (*Tree).Imports, one("cmd/halo-plugins/a.go", own("core/vrrp")), "not among"},
		{"SDK imports core", (*Tree).Imports, one("sdk/a.go", own("core/config")), "not among"},
		{"SDK's test imports core", (*Tree).Imports, one("sdk/a_test.go", own("core/kernel/kerneltest")), "not among"},
		{"SDK imports plugin", (*Tree).Imports, one("sdk/sdktest/a.go", own("plugins/tcp")), "not among"},
		{"author's package imports gRPC", (*Tree).Imports, one("sdk/check/a.go", `import "google.golang.org/grpc"`), "standard library alone"},
		{"author's package imports the wire", (*Tree).Imports, one("sdk/check/a.go", own("sdk/internal/proto")), "not among"},
		{"plugin imports SDK", (*Tree).Imports, one("plugins/tcp/a.go", own("sdk/check")), ""},
		{"plugin imports core", (*Tree).Imports, one("plugins/tcp/a.go", own("core/ipvs")), "not among"},
		{"plugin imports plugin", (*Tree).Imports, one("plugins/tcp/a.go", own("plugins/misc")), "not among"},
		{"example imports core", (*Tree).Imports, one("contrib/example-plugin/a.go", own("core/ipvs")), "not among"},
		{"unknown package", (*Tree).Imports, one("core/surprise/a.go", ""), "not in the import table"},

		// What pure code does.
		{"clock", (*Tree).Purity, one("core/vrrp/a.go", "import \"time\"\nvar t = time.Now()"), "time.Now"},
		{"clock by another name", (*Tree).Purity, one("core/vrrp/a.go", "import watch \"time\"\nvar t = watch.Since"), "time.Since"},
		{"timer", (*Tree).Purity, one("core/pool/a.go", "import \"time\"\nvar t = time.NewTimer"), "time.NewTimer"},
		{"duration", (*Tree).Purity, one("core/vrrp/a.go", "import \"time\"\nconst t = time.Second"), ""},
		{"clock in a driver", (*Tree).Purity, one("core/speaker/a.go", "import \"time\"\nvar t = time.Now()"), ""},
		{"clock in a test", (*Tree).Purity, one("core/vrrp/a_test.go", "import \"time\"\nvar t = time.Now()"), ""},
		{"goroutine", (*Tree).Purity, one("core/pool/a.go", "func f() { go f() }"), "goroutine"},
		{"print", (*Tree).Purity, one("core/ipvs/a.go", "import \"fmt\"\nfunc f() { fmt.Println() }"), "fmt.Println"},
		{"format", (*Tree).Purity, one("core/ipvs/a.go", "import \"fmt\"\nvar s = fmt.Sprint()"), ""},
		{"init", (*Tree).Purity, one("core/ipvs/a.go", "func init() {}"), "init"},

		// Interfaces of drivers.
		{"small interface", (*Tree).Interfaces, one("core/vip/a.go", "type K interface { A(); B(); C() }"), ""},
		{"large interface", (*Tree).Interfaces, one("core/vip/a.go", "type K interface { A(); B(); C(); D() }"), "4 methods"},
		{"large interface elsewhere", (*Tree).Interfaces, one("sdk/a.go", "type K interface { A(); B(); C(); D() }"), ""},

		// Form.
		{"800 lines", sizes, one("core/vip/a.go", strings.Repeat("\n", 797)), ""},
		{"801 lines", sizes, one("core/vip/a.go", strings.Repeat("\n", 799)), "at most 800"},
		{"801 generated lines", sizes, map[string]string{
			"sdk/a.go": "// Code generated by x. DO NOT EDIT.\n\npackage a\n" + strings.Repeat("\n", 900),
		}, ""},
		{"no package comment", (*Tree).PackageComments, one("core/vip/a.go", ""), "no comment"},
		{"package comment", (*Tree).PackageComments, map[string]string{"core/vip/a.go": "// Package vip is good.\npackage vip\n"}, ""},
		{"wrong package comment", (*Tree).PackageComments, map[string]string{"core/vip/a.go": "// vip is bad.\npackage vip\n"}, "want \"Package vip"},
		{"two package comments", (*Tree).PackageComments, map[string]string{
			"core/vip/a.go": "// Package vip is good.\npackage vip\n", "core/vip/b.go": "// Package vip is too much.\npackage vip\n",
		}, "second comment"},
		{"command comment", (*Tree).PackageComments, map[string]string{"cmd/halo/a.go": "// Command halo is good.\npackage main\n"}, ""},
		{"wrong command comment", (*Tree).PackageComments, map[string]string{"cmd/halo/a.go": "// Package main is bad.\npackage main\n"}, "want \"Command halo"},
		{"plugin's command comment", (*Tree).PackageComments, map[string]string{
			"contrib/example-plugin/a.go": "// Command halo-check-x is good.\npackage main\n",
		}, ""},
		{"only tests", (*Tree).PackageComments, map[string]string{"cmd/halo/e2e/a_test.go": "package e2e\n"}, ""},
		{"empty name", (*Tree).PackageNames, one("core/util/a.go", ""), "says nothing"},
		{"promise", (*Tree).Leftovers, one("core/vip/a.go", "// TODO: more."), "TODO"},
		{"description", (*Tree).Leftovers, one("core/vip/a.go", "// Nothing to do."), ""},

		// Plugin pages.
		{"plugin page", (*Tree).PluginPages, page("# x\n## Name\n## Description\n## Settings\n## More\n## Results\n## Examples\n"), ""},
		{"no plugin page", (*Tree).PluginPages, one("plugins/tcp/a.go", ""), "no README.md"},
		{"page without results", (*Tree).PluginPages, page("## Name\n## Description\n## Settings\n## Examples\n"), "\"Results\""},
		{"page out of order", (*Tree).PluginPages, page("## Description\n## Name\n## Settings\n## Results\n## Examples\n"), "\"Description\""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			files := fstest.MapFS{}
			for name, content := range test.files {
				files[name] = &fstest.MapFile{Data: []byte(content)}
			}
			tree, err := Load(files)
			if err != nil {
				t.Fatal(err)
			}
			findings := test.rule(tree)
			switch {
			case test.want == "" && len(findings) > 0:
				t.Errorf("findings %q, want none", findings)
			case test.want != "" && (len(findings) != 1 || !strings.Contains(findings[0], test.want)):
				t.Errorf("findings %q, want one with %q", findings, test.want)
			}
		})
	}
}

func TestLongFilesAreListed(t *testing.T) {
	tree, err := Load(fstest.MapFS{"core/vip/a.go": {Data: []byte("package vip\n" + strings.Repeat("\n", 450))}})
	if err != nil {
		t.Fatal(err)
	}
	if findings, long := tree.Sizes(); len(findings) != 0 || len(long) != 1 {
		t.Errorf("findings %q, long files %q; want one long file", findings, long)
	}
}

func TestLoadSkipsFixturesAndRefusesBrokenFiles(t *testing.T) {
	tree, err := Load(fstest.MapFS{
		"core/vip/testdata/bad.go": {Data: []byte("no Go")},
		".cache/bad.go":            {Data: []byte("no Go")},
	})
	if err != nil || len(tree.files) != 0 {
		t.Errorf("loaded %d files, %v; want none", len(tree.files), err)
	}
	if _, err := Load(fstest.MapFS{"core/vip/bad.go": {Data: []byte("no Go")}}); err == nil {
		t.Error("a file that is not Go was loaded")
	}
}

// one is a tree of one file with a package clause before the body.
func one(name, body string) map[string]string {
	return map[string]string{name: "package p\n\n" + body + "\n"}
}

// own is an import of this module.
func own(directory string) string { return `import "` + module + "/" + directory + `"` }

// page is a plugin with a README.
func page(readme string) map[string]string {
	return map[string]string{"plugins/tcp/a.go": "package tcp\n", "plugins/tcp/README.md": readme}
}
