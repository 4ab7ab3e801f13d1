// Command halo-plugins holds all of halo's built-in plugins in one file. Under
// which name it is called decides which plugin it is, so every plugin is a link
// to it:
//
//	ln -s ../halo-plugins plugins/halo-check-tcp
//
// Each plugin still runs as a process of its own; that they share a file lets
// the kernel share its pages between them. halo's core finds and starts the
// links; the core itself contains none of this.
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/halo-ha/halo/plugins/misc"
	"github.com/halo-ha/halo/plugins/script"
	"github.com/halo-ha/halo/plugins/tcp"
	"github.com/halo-ha/halo/sdk"
	runner "github.com/halo-ha/halo/sdk/script"
)

// version is set by the linker.
var version = "devel"

const (
	exitDone  = 0
	exitError = 1
	exitUsage = 64 // sysexits EX_USAGE, as everywhere in halo.
)

// builtin is one of the plugins in this file.
type builtin struct {
	name   string
	plugin func() sdk.Plugin
	// prepare sets up the process before it serves; nil means nothing to do.
	prepare func() error
}

func builtins() []builtin {
	return []builtin{
		{name: tcp.Name, plugin: tcp.Plugin, prepare: oneProcessor},
		{name: misc.Name, plugin: misc.Plugin, prepare: runner.StayToCleanUp},
		{name: script.Name, plugin: script.Plugin, prepare: runner.StayToCleanUp},
	}
}

func main() {
	name := filepath.Base(os.Args[0])
	for _, b := range builtins() {
		if b.name == name {
			os.Exit(serve(b))
		}
	}
	os.Exit(list(name, os.Args[1:], os.Stdout, os.Stderr))
}

// serve only returns with an exit code when the plugin cannot run at all.
func serve(b builtin) int {
	if b.prepare != nil {
		if err := b.prepare(); err != nil {
			fmt.Fprintf(os.Stderr, "%s: prepare: %v\n", b.name, err)
			return exitError
		}
	}
	p := b.plugin()
	p.Version = version
	sdk.Serve(p)
	return exitDone
}

// oneProcessor is for a plugin whose work is system calls of one loop: with
// more, each wake-up also wakes a second thread that finds nothing to do, which
// at 1,000 checks a second nearly doubles what they cost. A GOMAXPROCS of the
// operator's wins.
func oneProcessor() error {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
	return nil
}

// list says what is in here. Asked for, it is an answer; otherwise the name was
// wrong.
func list(name string, args []string, out, errOut io.Writer) int {
	if len(args) == 1 && (args[0] == "--help" || args[0] == "-h" || args[0] == "help") {
		fmt.Fprint(out, usage())
		return exitDone
	}
	if name != "halo-plugins" {
		fmt.Fprintf(errOut, "%s: no plugin of this name is built in\n\n", name)
	}
	fmt.Fprint(errOut, usage())
	return exitUsage
}

func usage() string {
	var b strings.Builder
	fmt.Fprintf(&b, `halo-plugins %s holds halo's built-in plugins and is called by their names:

`, version)
	for _, built := range builtins() {
		described, err := built.plugin().Describe()
		if err != nil {
			continue // Its own call says what is wrong.
		}
		for _, t := range described.Types {
			fmt.Fprintf(&b, "  %-18s %s %s: %s\n", built.name, t.Kind, t.Name, t.Doc)
		}
	}
	b.WriteString(`
Make a link of each name beside it, in a directory of plugin_dirs:

  mkdir -p plugins
`)
	for _, built := range builtins() {
		fmt.Fprintf(&b, "  ln -s ../halo-plugins plugins/%s\n", built.name)
	}
	b.WriteString(`
Then ask one what it can do:

  plugins/halo-check-tcp --help
`)
	return b.String()
}
