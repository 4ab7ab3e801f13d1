package config

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
)

// machine is what defaults depend on beside the file.
type machine struct {
	hostName   string
	executable string // path of the halo binary; empty when unknown
	hasAccount func(name string) bool
	user       int         // whose secrets may be read, beside root's
	mode       fs.FileMode // of the file; 0 when it is not known
}

// thisMachine describes the machine halo runs on. Accounts are looked up in
// /etc/passwd and nowhere else: a directory service may be slow or down, and
// the default must not depend on it.
func thisMachine() machine {
	name, err := os.Hostname()
	if err != nil || name == "" {
		name = "localhost"
	}
	executable, err := os.Executable()
	if err != nil {
		executable = ""
	}
	return machine{hostName: name, executable: executable, hasAccount: hasAccount, user: os.Geteuid()}
}

func hasAccount(name string) bool {
	accounts, err := os.ReadFile("/etc/passwd")
	return err == nil && bytes.Contains(append([]byte{'\n'}, accounts...), []byte("\n"+name+":"))
}

// pluginDirs are where plugins are looked for by default.
func (m machine) pluginDirs() []string {
	dirs := []string{"/usr/lib/halo/plugins"}
	if m.executable != "" {
		dirs = append([]string{filepath.Join(filepath.Dir(m.executable), "plugins")}, dirs...)
	}
	return dirs
}

// pluginUser is whom plugins run as by default.
func (m machine) pluginUser() string {
	if m.hasAccount("halo") {
		return "halo"
	}
	return "nobody"
}
