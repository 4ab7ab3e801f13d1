package ipvs

// Schedulers returns the schedulers that Linux has, in the order in which its
// documentation introduces them. Each is a kernel module ip_vs_NAME of its own.
// A kernel may have been built with fewer, or with others.
func Schedulers() []string {
	return []string{
		"rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh",
		"sed", "nq", "fo", "ovf", "mh", "twos",
	}
}
