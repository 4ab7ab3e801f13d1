package config

import (
	"fmt"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The texts of halo.toml, each with what is wrong with a word of that kind.

// maxSocketPath is the longest path a unix socket can have: sun_path less its
// terminating NUL.
const maxSocketPath = 107

func interfaceNames() text {
	return text{
		what: `the name of a network interface such as "eth0"`,
		test: func(word string) string {
			switch {
			case word == "":
				return "is empty"
			case len(word) > 15: // IFNAMSIZ less its terminating NUL.
				return fmt.Sprintf("has %d bytes, and interface names have at most 15", len(word))
			case word == "." || word == ".." || strings.ContainsAny(word, "/:") || strings.ContainsFunc(word, unicode.IsSpace):
				return "is not a name that the kernel allows"
			}
			return unprintable(word)
		},
	}
}

func absolutePaths(what string) text {
	return text{
		what: what,
		test: func(word string) string {
			switch {
			case word == "":
				return "is empty"
			case !filepath.IsAbs(word):
				return `does not begin with "/"`
			}
			return unprintable(word)
		},
	}
}

func socketPaths() text {
	paths := absolutePaths(`an absolute path such as "/run/halo/halo.sock"`)
	return text{what: paths.what, test: func(word string) string {
		if len(word) > maxSocketPath {
			return fmt.Sprintf("has %d bytes, and the path of a socket has at most %d", len(word), maxSocketPath)
		}
		return paths.test(word)
	}}
}

func labels() text {
	return text{what: "a name of 1 to 255 characters on one line", test: func(word string) string {
		switch n := utf8.RuneCountInString(word); {
		case n == 0:
			return "is empty"
		case n > 255:
			return fmt.Sprintf("has %d characters", n)
		}
		return unprintable(word)
	}}
}

// names are the names of objects and of checks: they stand in paths of logs,
// metrics and commands, so they hold nothing that needs quoting there.
func names() text {
	return text{what: "a name of 1 to 63 letters, digits, \"_\", \".\" and \"-\"", test: func(word string) string {
		switch {
		case word == "":
			return "is empty"
		case len(word) > 63:
			return fmt.Sprintf("has %d bytes", len(word))
		}
		for _, r := range word {
			if r >= utf8.RuneSelf || !isBareKey(byte(r)) && r != '.' {
				return fmt.Sprintf("holds the character %q", r)
			}
		}
		return ""
	}}
}

func processNames() text {
	return text{what: `the name of a program such as "nginx", or its path`, test: func(word string) string {
		if word == "" {
			return "is empty"
		}
		if strings.ContainsRune(word, '/') && !filepath.IsAbs(word) {
			return `holds a "/" and does not begin with one`
		}
		return unprintable(word)
	}}
}

// argumentTexts are what a program is called with: anything but a NUL.
func argumentTexts() text {
	return text{what: "a string", test: func(word string) string {
		if strings.ContainsRune(word, 0) {
			return "holds a character that no argument has"
		}
		return ""
	}}
}

func accounts() text {
	return text{what: `the name of a user account such as "nagios"`, test: func(word string) string {
		switch {
		case word == "":
			return "is empty"
		case len(word) > 32:
			return "is longer than 32 bytes"
		case word[0] == '-' || strings.ContainsAny(word, ":/") || strings.ContainsFunc(word, unicode.IsSpace):
			return "is not a name that an account can have"
		}
		return unprintable(word)
	}}
}

func passwords() text {
	return text{what: "a password of 1 to 8 bytes", test: func(word string) string {
		switch {
		case word == "":
			return "is empty"
		case len(word) > 8:
			return fmt.Sprintf("has %d bytes, and VRRP carries 8: Keepalived would silently use the first 8", len(word))
		case unprintable(word) != "":
			return "holds a character that cannot be typed"
		}
		return ""
	}}
}

func digests() text {
	return text{what: "the SHA-256 of the plugin's file as 64 hex digits", test: func(word string) string {
		if len(word) != 64 {
			return fmt.Sprintf("has %d characters", len(word))
		}
		for _, r := range word {
			if !strings.ContainsRune("0123456789abcdefABCDEF", r) {
				return fmt.Sprintf("holds the character %q", r)
			}
		}
		return ""
	}}
}

// variables says what is wrong with the name of an environment variable.
func variables(name string) string {
	for i, r := range name {
		letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return "is not the name of a variable"
		}
	}
	if name == "" {
		return "is not the name of a variable"
	}
	return ""
}

func unprintable(word string) string {
	for _, r := range word {
		if !unicode.IsPrint(r) {
			return "holds a character that cannot be printed"
		}
	}
	return ""
}

// capabilities are the kernel's, by their names without CAP_ in lower case.
func capabilities() []string {
	return []string{
		"audit_control", "audit_read", "audit_write", "block_suspend", "bpf",
		"checkpoint_restore", "chown", "dac_override", "dac_read_search",
		"fowner", "fsetid", "ipc_lock", "ipc_owner", "kill", "lease",
		"linux_immutable", "mac_admin", "mac_override", "mknod", "net_admin",
		"net_bind_service", "net_broadcast", "net_raw", "perfmon", "setfcap",
		"setgid", "setpcap", "setuid", "sys_admin", "sys_boot", "sys_chroot",
		"sys_module", "sys_nice", "sys_pacct", "sys_ptrace", "sys_rawio",
		"sys_resource", "sys_time", "sys_tty_config", "syslog", "wake_alarm",
	}
}

// schedulers are the kernel's IPVS schedulers.
func schedulers() []string {
	return []string{"rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "mh", "dh", "fo", "ovf", "sed", "nq", "twos"}
}
