package config

import "strconv"

// hint is what is known about a key that halo does not take: that it belongs
// to a part of halo that is not there yet, or that it is Keepalived's name for
// something halo has.
type hint struct {
	// key is halo's key for the same thing, in the same table.
	key string
	// write is what to write when that is more than another name.
	write string
	// why says why halo has no such key.
	why string
	// planned keys are halo's, and later than this version.
	planned bool
}

// problem fills in what is wrong with a key the hint is for.
func (h hint) problem(p Problem) Problem {
	p.Expected = ""
	switch {
	case h.planned:
		p.Message = "is not supported yet by this version"
	case h.why != "":
		p.Message, p.Expected = "unknown key: "+h.why, "no such key"
	case h.write != "":
		p.Expected, p.Suggestion = "halo's way to write it", h.write
	default:
		p.Expected, p.Suggestion = "halo's name for it", strconv.Quote(h.key)
	}
	return p
}

const (
	whyElected  = "there is no initial state, the election decides by priority"
	whySafe     = "a server is admitted after rise good results unless the kernel serves it already"
	whyNotified = "events are told by [notifier.NAME] tables, which this version does not support yet"
)

func rootHints() map[string]hint {
	return map[string]hint{
		"global_defs":          {key: "global"},
		"vrrp_script":          {write: `[tracker.NAME] with type = "script"`},
		"vrrp_track_process":   {write: `[tracker.NAME] with type = "process"`},
		"vrrp_track_file":      {write: `[tracker.NAME] with type = "file"`},
		"track_file":           {write: `[tracker.NAME] with type = "file"`},
		"bfd_instance":         {write: `[tracker.NAME] with type = "bfd"`},
		"notifier":             {planned: true},
		"virtual_server_group": {planned: true},
		"static_ipaddress":     {write: "[static] with addresses = [{ ... }]"},
		"static_routes":        {write: "[static] with routes = [{ ... }]"},
		"static_rules":         {write: "[static] with rules = [{ ... }]"},
	}
}

func globalHints() map[string]hint {
	return map[string]hint{
		"script_user":           {key: "plugin_user"},
		"vrrp_version":          {write: "version = 2 in [vrrp_instance.NAME]"},
		"vrrp_startup_delay":    {key: "startup_delay"},
		"vrrp_delay_after_boot": {key: "delay_after_boot"},
		"vrrp_rt_priority":      {write: "realtime = true"},
		"vrrp_no_swap":          {write: "realtime = true"},
		"vrrp_strict":           {why: "halo always follows the RFC, but for what accept says in [vrrp_instance.NAME]"},
		"notification_email":    {why: whyNotified},
		"smtp_server":           {why: whyNotified},
	}
}

func instanceHints() map[string]hint {
	return map[string]hint{
		"state":                      {why: whyElected},
		"advert_int":                 {key: "advert_interval"},
		"vrid":                       {key: "virtual_router_id"},
		"vrrp_version":               {key: "version"},
		"virtual_ipaddress":          {key: "addresses"},
		"virtual_addresses":          {key: "addresses"},
		"nopreempt":                  {write: "preempt = false"},
		"mcast_src_ip":               {key: "source_address"},
		"unicast_src_ip":             {key: "source_address"},
		"auth_type":                  {write: `authentication = { type = "pass", password = "..." }`},
		"auth_pass":                  {write: `authentication = { type = "pass", password = "..." }`},
		"auth_hmac":                  {write: `authentication = { type = "hmac", active_key = 1, key = [{ id = 1, secret = "..." }] }`},
		"v3_checksum_as_v2":          {write: `checksum = "plain"`},
		"garp_master_repeat":         {write: "garp = { repeat = 5 }"},
		"garp_master_delay":          {write: `garp = { delay = "5s" }`},
		"garp_master_refresh":        {write: `garp = { refresh = "60s" }`},
		"garp_master_refresh_repeat": {write: "garp = { refresh_repeat = 1 }"},
		"garp_lower_prio_repeat":     {write: "garp = { lower_priority_repeat = 5 }"},
		"garp_lower_prio_delay":      {write: `garp = { lower_priority_delay = "5s" }`},
		"virtual_ipaddress_excluded": {key: "excluded_addresses"},
		"unicast_peer":               {key: "unicast_peers"},
		"check_unicast_src":          {why: "only peers are believed, unless unicast_any_source = true"},
		"unicast_fault_no_peer":      {why: "without peers halo speaks to the multicast group, which unicast_peers = [...] turns off"},
		"use_vmac":                   {write: "vmac = true"},
		"vmac_xmit_base":             {write: "vmac = { xmit_base = true }"},
		"use_ipvlan":                 {why: "addresses on a link of its own are what vmac = true is for"},
		"no_accept":                  {write: "accept = false"},
		"track_interface":            {key: "track_interfaces"},
		"dont_track_primary":         {write: "ignore_link_down = true"},
		"track_script":               {write: `track = ["NAME"] with [tracker.NAME]`},
		"track_bfd":                  {write: `track = ["NAME"] with [tracker.NAME]`},
		"track_process":              {write: `track = ["NAME"] with [tracker.NAME]`},
		"track_file":                 {write: `track = ["NAME"] with [tracker.NAME]`},
		"virtual_routes":             {key: "routes"},
		"virtual_rules":              {key: "rules"},
		"notify":                     {planned: true},
		"notify_master":              {why: whyNotified},
		"notify_backup":              {why: whyNotified},
		"notify_fault":               {why: whyNotified},
		"smtp_alert":                 {why: whyNotified},
	}
}

func vmacHints() map[string]hint {
	return map[string]hint{
		"vmac_xmit_base": {key: "xmit_base"},
		"name6":          {key: "ipv6_name"},
	}
}

func virtualServerHints() map[string]hint {
	return map[string]hint{
		"lb_algo":                 {key: "scheduler"},
		"lvs_sched":               {key: "scheduler"},
		"lb_kind":                 {key: "forward"},
		"lvs_method":              {key: "forward"},
		"persistence_timeout":     {key: "persistence"},
		"inhibit_on_failure":      {write: `on_failure = "quiesce"`},
		"delay_loop":              {write: `interval = "5s" in check`},
		"alpha":                   {why: whySafe},
		"addresses":               {planned: true},
		"fwmark":                  {planned: true},
		"family":                  {planned: true},
		"ip_family":               {planned: true},
		"hysteresis":              {planned: true},
		"persistence_granularity": {planned: true},
		"notify":                  {planned: true},
		"quorum_up":               {why: whyNotified},
		"quorum_down":             {why: whyNotified},
	}
}

func realServerHints() map[string]hint {
	return map[string]hint{
		"lvs_method":         {key: "forward"},
		"inhibit_on_failure": {write: `on_failure = "quiesce"`},
		"delay_loop":         {write: `interval = "5s" in check`},
		"uthreshold":         {planned: true},
		"upper_threshold":    {planned: true},
		"lthreshold":         {planned: true},
		"lower_threshold":    {planned: true},
		"notify_up":          {why: whyNotified},
		"notify_down":        {why: whyNotified},
	}
}

func checkHints() map[string]hint {
	return map[string]hint{
		"delay_loop":         {key: "interval"},
		"connect_timeout":    {key: "timeout"},
		"misc_timeout":       {key: "timeout"},
		"retry":              {key: "fall"},
		"nb_get_retry":       {key: "fall"},
		"delay_before_retry": {key: "retry_interval"},
		"connect_ip":         {key: "connect_address"},
		"bindto":             {key: "bind"},
		"misc_path":          {key: "command"},
		"warmup":             {why: "first probes are spread over the interval by themselves"},
		"alpha":              {why: whySafe},
		"netns":              {planned: true},
	}
}
