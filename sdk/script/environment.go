package script

import (
	"slices"
	"strings"
)

// defaultPath is what a script finds its programs by when nobody says otherwise.
const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Environment returns base, usually os.Environ, without what a script must not
// get, with extra ("NAME=value") on top, and with a PATH.
//
// Left out are the plugin protocol's variables (they hold a private key), those
// a service manager means for its own child, and those that make a loader, a
// shell or an interpreter run something else than the script: anybody who
// could set one would run code in every script.
func Environment(base []string, extra ...string) []string {
	env := make([]string, 0, len(base)+len(extra)+1)
	for _, variable := range base {
		name, _, ok := strings.Cut(variable, "=")
		if ok && !withheld(name) && !sets(extra, name) {
			env = append(env, variable)
		}
	}
	env = append(env, extra...)
	if !sets(env, "PATH") {
		env = append(env, defaultPath)
	}
	return env
}

func sets(env []string, name string) bool {
	return slices.ContainsFunc(env, func(variable string) bool {
		return strings.HasPrefix(variable, name+"=")
	})
}

func withheld(name string) bool {
	for _, prefix := range []string{
		"BASH_FUNC_", "GLIBC_", "HALO_PLUGIN_", "LD_", "LISTEN_", "MALLOC_", "PLUGIN_", "WATCHDOG_",
	} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	switch name {
	case "",
		"BASHOPTS", "BASH_ENV", "CDPATH", "ENV", "GLOBIGNORE", "IFS", "PROMPT_COMMAND", "PS4", "SHELLOPTS", // shells
		"GCONV_PATH", "GETCONF_DIR", "HOSTALIASES", "LOCALDOMAIN", "LOCPATH", "NLSPATH", "RESOLV_HOST_CONF",
		"RES_OPTIONS", // the C library
		"NODE_OPTIONS", "PERL5DB", "PERL5LIB", "PERL5OPT", "PERLLIB", "PYTHONHOME", "PYTHONPATH",
		"PYTHONSTARTUP", "RUBYLIB", "RUBYOPT", // interpreters
		"CREDENTIALS_DIRECTORY", "INVOCATION_ID", "JOURNAL_STREAM", "MAINPID", "MANAGERPID", "NOTIFY_SOCKET": // service manager
		return true
	}
	return false
}
