package archtest

import (
	"go/ast"
	"slices"
	"strconv"
	"strings"
)

// kind says what a package may do, beyond what it may import of this module.
type kind int

const (
	kindFree   kind = iota // nothing is forbidden but what its row does not list
	kindPure               // a function of its arguments: no I/O, clock, randomness, goroutine
	kindDrive              // goroutines and timers; the kernel only through interfaces of its own
	kindEdge               // sockets and netlink
	kindAuthor             // what plugin authors implement: the standard library alone
)

// row is what one package, or a subtree, may import of this module. The first
// row that matches a package is its row.
type row struct {
	packages string
	kind     kind
	own      []string
}

// The groups that the table's rows share.
var (
	pure    = []string{"core/bfd", "core/ipvs", "core/pool", "core/radv", "core/track", "core/vrrp", "core/vrrp/wire"} //nolint:gochecknoglobals // a constant
	sdkFace = []string{"sdk/check", "sdk/host", "sdk/schema"}                                                          //nolint:gochecknoglobals // a constant
)

// table is the import table. core/daemon alone connects the drivers; nothing
// of a plugin is linked into the daemon; the SDK knows neither.
func table() []row {
	driver := join(pure, sdkFace)
	return []row{
		{"core/bfd", kindPure, nil},
		{"core/ipvs", kindPure, nil},
		{"core/pool", kindPure, []string{"core/ipvs"}},
		{"core/radv", kindPure, nil},
		{"core/track", kindPure, nil},
		{"core/vrrp/ledger", kindFree, nil},
		{"core/vrrp/wire", kindPure, nil},
		{"core/vrrp", kindPure, []string{"core/vrrp/wire"}},

		{"core/kernel/kerneltest/...", kindFree, []string{"core/..."}},
		{"core/kernel/rtnl/inet", kindPure, nil},
		{"core/kernel/rtnl", kindEdge, join(pure, []string{"core/kernel/rtnl/inet"})},
		{"core/kernel/vmac", kindEdge, join(pure, []string{"core/kernel/rtnl/..."})},
		{"core/kernel/...", kindEdge, pure},

		{"core/balance", kindDrive, driver},
		{"core/bfdspeaker", kindDrive, join(driver, []string{"core/nowait"})},
		{"core/checks", kindDrive, driver},
		{"core/notify", kindDrive, driver},
		{"core/nowait", kindDrive, nil},
		{"core/pluginhost", kindDrive, driver},
		{"core/radvspeaker", kindDrive, join(driver, []string{"core/nowait"})},
		{"core/speaker", kindDrive, join(driver, []string{"core/nowait"})},
		{"core/vip", kindDrive, join(driver, []string{"core/kernel/rtnl/inet"})}, // pure values

		{"core/archtest", kindFree, nil},
		{"core/scenario", kindFree, nil},
		{"core/config", kindFree, join(driver, []string{"core/kernel/rtnl/inet"})}, // pure values
		{"core/journal", kindFree, pure},
		{"core/control", kindFree, join(pure, []string{"core/journal"})},
		{"core/daemon/...", kindFree, join(sdkFace, []string{"core/..."})},

		{"cmd/halo/...", kindFree, join(sdkFace, []string{"cmd/halo/...", "core/..."})},
		{"cmd/halo-plugins", kindFree, []string{"sdk/...", "plugins/..."}},

		{"sdk/check", kindAuthor, []string{"sdk/schema"}},
		{"sdk/notify", kindAuthor, []string{"sdk/schema"}},
		{"sdk/schema", kindAuthor, nil},
		{"sdk/track", kindAuthor, []string{"sdk/check", "sdk/schema"}},
		{"sdk/...", kindFree, []string{"sdk/..."}},

		{"plugins/...", kindFree, []string{"sdk/..."}},
		{"contrib/example-plugin/...", kindFree, []string{"sdk/...", "contrib/example-plugin/..."}},
		{"contrib/...", kindFree, []string{"core/...", "sdk/...", "contrib/..."}},
	}
}

// testsOnly may be imported by tests, by each other and by contrib alone.
func testsOnly() []string { return []string{"core/kernel/kerneltest/...", "core/scenario"} }

// alsoInTests is what a test file may import beyond its package's row.
func alsoInTests(directory string) []string {
	switch {
	case matches("sdk/...", directory):
		return []string{"sdk/..."}
	case matches("core/daemon/...", directory), matches("cmd/...", directory):
		return []string{"core/...", "sdk/...", "plugins/..."}
	case matches("core/...", directory):
		return join(testsOnly(), []string{"sdk/..."})
	default:
		return nil
	}
}

// edgeModules speak netlink or open raw sockets.
func edgeModules() []string {
	return []string{
		"github.com/cloudflare/ipvs", "github.com/mdlayher/", "github.com/vishvananda/", "golang.org/x/net/bpf",
		"golang.org/x/net/icmp", "golang.org/x/net/ipv4", "golang.org/x/net/ipv6", "github.com/google/nftables",
	}
}

// impurePackages are those of the standard library that pure code may not have.
func impurePackages() []string {
	return []string{
		"context", "crypto/rand", "database/", "io/ioutil", "log", "log/", "math/rand", "math/rand/", "net", "net/",
		"os", "os/", "plugin", "runtime", "runtime/", "sync", "sync/", "syscall", "testing", "testing/", "unsafe",
	}
}

// Imports reports what the import table forbids.
func (t *Tree) Imports() []string {
	var findings []string
	for _, file := range t.files {
		row, found := rowOf(file.Dir)
		if !found {
			findings = append(findings, t.at(file.Syntax, "package %s is not in the import table", file.Dir))
			continue
		}
		for _, spec := range file.Syntax.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				continue // the parser has refused it
			}
			if why := forbidden(row, file, name); why != "" {
				findings = append(findings, t.at(spec, "%s imports %s: %s", file.Dir, name, why))
			}
		}
	}
	return findings
}

func rowOf(directory string) (row, bool) {
	rows := table()
	i := slices.IndexFunc(rows, func(r row) bool { return matches(r.packages, directory) })
	if i < 0 {
		return row{}, false
	}
	return rows[i], true
}

// forbidden answers why the row does not allow a file the import, or "".
func forbidden(r row, file File, name string) string {
	if own, inside := strings.CutPrefix(name, module+"/"); inside || name == module {
		return forbiddenOwn(r, file, own)
	}
	if file.Test {
		return ""
	}
	thirdParty := strings.Contains(strings.Split(name, "/")[0], ".")
	switch r.kind {
	case kindPure:
		if thirdParty {
			return "a pure package needs the standard library alone"
		}
		if name != "net/netip" && prefixed(name, impurePackages()) {
			return "a pure package does no I/O, has no clock and starts nothing"
		}
	case kindAuthor:
		if thirdParty {
			return "what plugin authors import has the standard library alone behind it"
		}
	case kindDrive, kindFree:
		if prefixed(name, edgeModules()) && !matchesAny(join(testsOnly(), []string{"contrib/..."}), file.Dir) {
			return "only core/kernel speaks netlink and opens raw sockets"
		}
	case kindEdge:
	}
	return ""
}

func forbiddenOwn(r row, file File, own string) string {
	switch {
	case own == file.Dir: // a test of the package from outside
		return ""
	case matchesAny(testsOnly(), own) && !file.Test && !matchesAny(join(testsOnly(), []string{"contrib/..."}), file.Dir):
		return "it is for tests only"
	case matchesAny(r.own, own):
		return ""
	case file.Test && matchesAny(alsoInTests(file.Dir), own):
		return ""
	default:
		return "not among what the import table allows"
	}
}

// prefixed tells whether an import path is one of the names, or is below one
// that ends in a slash.
func prefixed(name string, names []string) bool {
	return slices.ContainsFunc(names, func(forbidden string) bool {
		return name == strings.TrimSuffix(forbidden, "/") || strings.HasSuffix(forbidden, "/") && strings.HasPrefix(name, forbidden) ||
			strings.HasPrefix(name, forbidden+"/")
	})
}

// Purity reports what pure packages do although they import nothing forbidden:
// asking the clock, starting goroutines, printing, keeping state in variables
// of the package, preparing it in init.
func (t *Tree) Purity() []string {
	var findings []string
	for _, file := range t.files {
		row, _ := rowOf(file.Dir)
		if row.kind != kindPure || file.Test {
			continue
		}
		ast.Inspect(file.Syntax, func(node ast.Node) bool {
			switch node := node.(type) {
			case *ast.GoStmt:
				findings = append(findings, t.at(node, "%s starts a goroutine: a pure package is called, and returns", file.Dir))
			case *ast.FuncDecl:
				if node.Recv == nil && node.Name.Name == "init" {
					findings = append(findings, t.at(node, "%s has an init function", file.Dir))
				}
			case *ast.SelectorExpr:
				if why := impureCall(file, node); why != "" {
					findings = append(findings, t.at(node, "%s %s", file.Dir, why))
				}
			}
			return true
		})
	}
	return findings
}

// impureCall judges a qualified name like time.Now, under whatever name the
// file imports the package.
func impureCall(file File, selector *ast.SelectorExpr) string {
	qualifier, ok := selector.X.(*ast.Ident)
	if !ok {
		return ""
	}
	switch importedAs(file, qualifier.Name) {
	case "time":
		clock := []string{"After", "AfterFunc", "NewTicker", "NewTimer", "Now", "Since", "Sleep", "Tick", "Until"}
		if slices.Contains(clock, selector.Sel.Name) {
			return "asks the clock with time." + selector.Sel.Name + ": time is an argument"
		}
	case "fmt":
		if strings.HasPrefix(selector.Sel.Name, "Print") || strings.HasPrefix(selector.Sel.Name, "Scan") {
			return "does I/O with fmt." + selector.Sel.Name
		}
	}
	return ""
}

// importedAs answers the path of the package that a file calls name.
func importedAs(file File, name string) string {
	for _, spec := range file.Syntax.Imports {
		importPath, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		called := importPath[strings.LastIndex(importPath, "/")+1:]
		if spec.Name != nil {
			called = spec.Name.Name
		}
		if called == name {
			return importPath
		}
	}
	return ""
}

// Interfaces reports interfaces of more than three methods in drivers: what a
// driver needs from outside must be small enough to fake in a test.
func (t *Tree) Interfaces() []string {
	const most = 3
	var findings []string
	for _, file := range t.files {
		row, _ := rowOf(file.Dir)
		if row.kind != kindDrive || file.Test {
			continue
		}
		ast.Inspect(file.Syntax, func(node ast.Node) bool {
			spec, ok := node.(*ast.TypeSpec)
			if !ok {
				return true
			}
			declared, ok := spec.Type.(*ast.InterfaceType)
			if ok && declared.Methods.NumFields() > most {
				findings = append(findings, t.at(spec, "interface %s has %d methods, at most %d",
					spec.Name.Name, declared.Methods.NumFields(), most))
			}
			return true
		})
	}
	return findings
}

func join(lists ...[]string) []string { return slices.Concat(lists...) }
