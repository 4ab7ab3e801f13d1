package guest

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// wantedModules are loaded when the guest boots, in this order, each after what
// it depends on. A name that the kernel does not have as a module is an error
// unless it is built in: a test must not find out by failing oddly.
func wantedModules() []string {
	return strings.Fields(`
		crc32c_generic
		ip_vs ip_vs_rr ip_vs_wrr ip_vs_lc ip_vs_wlc ip_vs_fo ip_vs_ovf ip_vs_lblc ip_vs_lblcr
		ip_vs_dh ip_vs_sh ip_vs_mh ip_vs_sed ip_vs_nq ip_vs_ftp ip_vs_pe_sip
		nf_conntrack nf_conntrack_netlink nf_nat
		nf_tables nft_chain_nat nft_ct nft_fib nft_fib_inet nft_fib_ipv4 nft_fib_ipv6
		nft_hash nft_limit nft_log nft_masq nft_nat nft_numgen nft_objref nft_queue nft_quota nft_redir
		nft_reject nft_reject_inet nft_reject_ipv4 nft_reject_ipv6 nft_meta_bridge nft_reject_bridge
		nft_dup_netdev nft_fwd_netdev nft_socket nft_tproxy nft_synproxy
		nfnetlink_log nfnetlink_queue
		dummy veth bridge macvlan macvtap ipvlan vrf vxlan 8021q bonding ifb tun
		ipip ip_gre ip6_tunnel ip6_gre sit fou
		sch_netem sch_tbf sch_prio sch_htb sch_fq_codel sch_ingress cls_u32 cls_matchall cls_flower cls_bpf
		act_mirred act_gact act_police
		xt_ipvs
		af_packet_diag inet_diag tcp_diag udp_diag netlink_diag unix_diag
	`)
}

// module is one file of the kernel package.
type module struct {
	name string
	path string
}

// moduleOrder answers the wanted modules and everything they depend on, each
// after its dependencies.
func moduleOrder(directory string, wanted []string) ([]module, error) {
	files, err := moduleFiles(directory)
	if err != nil {
		return nil, err
	}
	builtin, err := builtinModules(directory)
	if err != nil {
		return nil, err
	}
	var order []module
	done := map[string]bool{}
	var add func(name string) error
	add = func(name string) error {
		if done[name] || builtin[name] {
			return nil
		}
		path, found := files[name]
		if !found {
			return fmt.Errorf("find kernel module %s: not in %s", name, directory)
		}
		done[name] = true
		needed, err := moduleDependencies(path)
		if err != nil {
			return err
		}
		for _, dependency := range needed {
			if err := add(dependency); err != nil {
				return err
			}
		}
		order = append(order, module{name, path})
		return nil
	}
	for _, name := range wanted {
		if err := add(moduleName(name)); err != nil {
			return nil, err
		}
	}
	return order, nil
}

// moduleName is the kernel's own spelling: file names have dashes at will.
func moduleName(name string) string {
	return strings.ReplaceAll(strings.TrimSuffix(name, ".ko"), "-", "_")
}

func moduleFiles(directory string) (map[string]string, error) {
	files := map[string]string{}
	err := filepath.WalkDir(directory, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".ko") {
			files[moduleName(entry.Name())] = path
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list kernel modules: %w", err)
	}
	return files, nil
}

// moduleDependencies reads "depends=a,b" from the module's own description;
// depmod would write the same into modules.dep.
func moduleDependencies(path string) ([]string, error) {
	file, err := elf.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read kernel module %s: %w", path, err)
	}
	defer file.Close()
	section := file.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("read kernel module %s: no .modinfo section", path)
	}
	data, err := section.Data()
	if err != nil {
		return nil, fmt.Errorf("read kernel module %s: %w", path, err)
	}
	for entry := range bytes.SplitSeq(data, []byte{0}) {
		list, found := strings.CutPrefix(string(entry), "depends=")
		if found && list != "" {
			names := strings.Split(list, ",")
			for i, name := range names {
				names[i] = moduleName(name)
			}
			return names, nil
		}
	}
	return nil, nil
}

func builtinModules(directory string) (map[string]bool, error) {
	content, err := os.ReadFile(filepath.Join(directory, "modules.builtin"))
	if err != nil {
		return nil, fmt.Errorf("list the kernel's built-in modules: %w", err)
	}
	builtin := map[string]bool{}
	for line := range strings.Lines(string(content)) {
		builtin[moduleName(filepath.Base(strings.TrimSpace(line)))] = true
	}
	return builtin, nil
}
