package toolchain

// The files of Node.js and its tools on a host with dpkg, and their tar.

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
)

const (
	dpkgStatus = "/var/lib/dpkg/status"
	dpkgInfo   = "/var/lib/dpkg/info"
)

// dpkg is the database of installed packages.
type dpkg struct {
	depends  map[string][][]string // alternatives for each dependency
	provides map[string][]string   // packages behind a virtual name
}

func readDpkg() (*dpkg, error) {
	data, err := os.ReadFile(dpkgStatus)
	if err != nil {
		return nil, err
	}
	d := &dpkg{depends: map[string][][]string{}, provides: map[string][]string{}}
	for _, para := range strings.Split(string(data), "\n\n") {
		fields := map[string]string{}
		for _, line := range strings.Split(para, "\n") {
			if k, v, ok := strings.Cut(line, ": "); ok && !strings.HasPrefix(line, " ") {
				fields[k] = v
			}
		}
		name := fields["Package"]
		if name == "" || !strings.HasSuffix(fields["Status"], " installed") {
			continue
		}
		d.depends[name] = nil
		for _, key := range []string{"Depends", "Pre-Depends"} {
			d.depends[name] = append(d.depends[name], relations(fields[key])...)
		}
		for _, virtual := range relations(fields["Provides"]) {
			d.provides[virtual[0]] = append(d.provides[virtual[0]], name)
		}
	}
	return d, nil
}

// relations splits "a (>= 1) | b, c:any" into [[a b] [c]].
func relations(s string) [][]string {
	var out [][]string
	for _, dep := range strings.Split(s, ",") {
		var alternatives []string
		for _, alt := range strings.Split(dep, "|") {
			name, _, _ := strings.Cut(strings.TrimSpace(alt), " ")
			if name, _, _ = strings.Cut(name, ":"); name != "" {
				alternatives = append(alternatives, name)
			}
		}
		if alternatives != nil {
			out = append(out, alternatives)
		}
	}
	return out
}

// closure adds what the packages depend on. What isn't installed is left out: dpkg has seen to it
// that a package's needs are met.
func (d *dpkg) closure(seeds []string) []string {
	seen := map[string]bool{}
	queue := append([]string(nil), seeds...)
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		if _, installed := d.depends[name]; !installed {
			queue = append(queue, d.provides[name]...)
			if d.provides[name] != nil {
				d.provides[name] = nil
			}
			continue
		}
		if seen[name] {
			continue
		}
		seen[name] = true
		for _, alternatives := range d.depends[name] {
			queue = append(queue, alternatives...)
		}
	}
	out := make([]string, 0, len(seen))
	for name := range seen {
		out = append(out, name)
	}
	sort.Strings(out)
	return out
}

// files lists what a package installed.
func (d *dpkg) files(name string) ([]string, error) {
	matches, err := filepath.Glob(filepath.Join(dpkgInfo, name+":*.list"))
	if err != nil {
		return nil, err
	}
	for _, list := range append([]string{filepath.Join(dpkgInfo, name+".list")}, matches...) {
		data, err := os.ReadFile(list)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return strings.Split(strings.TrimSpace(string(data)), "\n"), nil
	}
	return nil, fmt.Errorf("dpkg has no list of the files of %s", name)
}

// owner finds the package that a file belongs to, "" if none.
func (d *dpkg) owner(file string) string {
	for name := range d.depends {
		files, err := d.files(name)
		if err != nil {
			continue
		}
		for _, f := range files {
			if f == file {
				return name
			}
		}
	}
	return ""
}

// rootEntry is a file, link or directory of the root.
type rootEntry struct {
	name string // in the image, relative
	link string // of a symbolic link
	dir  bool
	data string // content given here
	file string // or taken from the host
	mode fs.FileMode
	size int64
}

// rootTar is a root file system, by name.
type rootTar map[string]rootEntry

// listNode collects the files.
func listNode(node string) (rootTar, error) {
	db, err := readDpkg()
	if err != nil {
		return nil, err
	}
	root := rootTar{}
	seeds := append([]string(nil), nodePackages[:]...)
	dirs := []string{"include/node", "lib/node_modules/npm", "lib/node_modules/corepack"} // may be newer than the package's
	if owner := db.owner(node); owner != "" {
		seeds = append(seeds, owner)
	} else {
		dirs = append(dirs, "bin/node", "bin/npm", "bin/npx", "bin/corepack")
	}
	if err := root.addBelow(filepath.Dir(filepath.Dir(node)), dirs); err != nil {
		return nil, err
	}
	seeds = append(seeds, "libc6", "libstdc++6", "libatomic1")
	for _, name := range db.closure(seeds) {
		files, err := db.files(name)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			if err := root.add(f); err != nil {
				return nil, err
			}
		}
	}
	// A host with a merged /usr has links there that belong to no package, and so do the names
	// that update-alternatives manages.
	for _, f := range []string{"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc/ssl/certs/ca-certificates.crt"} {
		if err := root.add(f); err != nil {
			return nil, err
		}
	}
	if err := root.addAlternatives(); err != nil {
		return nil, err
	}
	for name, text := range map[string]string{"etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n", "etc/group": "root:x:0:\nnogroup:x:65534:\n"} {
		root[name] = rootEntry{name: name, data: text, size: int64(len(text)), mode: 0o644}
	}
	root["tmp"] = rootEntry{name: "tmp", dir: true, mode: 0o777 | fs.ModeSticky}
	root["root"] = rootEntry{name: "root", dir: true, mode: 0o700}
	return root, nil
}

// skipped are documentation and translations, and what differs from host to host.
func skipped(file string) bool {
	for _, dir := range []string{
		"/usr/share/doc", "/usr/share/man", "/usr/share/info", "/usr/share/locale", "/usr/share/lintian", "/usr/share/bug",
		"/var", "/proc", "/sys", "/dev", "/run", "/boot", "/home", "/root", "/tmp", "/etc/ssl/private",
	} {
		if file == dir || strings.HasPrefix(file, dir+"/") {
			return true
		}
	}
	return false
}

// add takes a file of the host. Names go through the links of a merged /usr: "/lib/x" is
// "/usr/lib/x" there. What is missing or can't be read by all isn't needed.
func (r rootTar) add(file string) error {
	if file == "/." || file == "/" || skipped(file) {
		return nil
	}
	info, err := os.Lstat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(file))
	if err != nil {
		return err
	}
	name := strings.TrimPrefix(path.Join(filepath.ToSlash(dir), path.Base(file)), "/")
	e := rootEntry{name: name, file: file, size: info.Size(), mode: 0o644}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		if e.link, err = os.Readlink(file); err != nil {
			return err
		}
	case info.IsDir():
		e.dir, e.mode = true, 0o755
	case !info.Mode().IsRegular() || info.Mode().Perm()&0o004 == 0:
		return nil
	case info.Mode().Perm()&0o111 != 0:
		e.mode = 0o755
	}
	r[name] = e
	return nil
}

// addBelow takes files and directories of an installation of Node.js, which may have come as a
// package, as a tarball or from a version manager.
func (r rootTar) addBelow(prefix string, names []string) error {
	for _, sub := range names {
		err := filepath.WalkDir(filepath.Join(prefix, sub), func(p string, _ fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			return r.add(p)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// addAlternatives takes the links that lead to what was taken.
func (r rootTar) addAlternatives() error {
	entries, err := os.ReadDir("/etc/alternatives")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		file := filepath.Join("/etc/alternatives", e.Name())
		real, err := filepath.EvalSymlinks(file)
		if err != nil {
			continue // a link that leads nowhere is of no use to anybody
		}
		if _, ok := r[strings.TrimPrefix(real, "/")]; !ok {
			continue
		}
		bin := filepath.Join("/usr/bin", e.Name())
		if target, err := os.Readlink(bin); err != nil || target != file {
			continue
		}
		for _, f := range []string{file, bin} {
			if err := r.add(f); err != nil {
				return err
			}
		}
	}
	return nil
}

// write makes the tar: sorted, with every directory, without owners and times.
func (r rootTar) write(w io.Writer) error {
	for name := range r {
		for dir := path.Dir(name); dir != "." && r[dir].name == ""; dir = path.Dir(dir) {
			r[dir] = rootEntry{name: dir, dir: true, mode: 0o755}
		}
	}
	names := make([]string, 0, len(r))
	for name := range r {
		names = append(names, name)
	}
	sort.Strings(names)
	tw := tar.NewWriter(w)
	for _, name := range names {
		if err := r[name].write(tw); err != nil {
			return err
		}
	}
	return tw.Close()
}

func (e rootEntry) write(tw *tar.Writer) error {
	switch {
	case e.dir:
		h := header(e.name+"/", tar.TypeDir, e.mode.Perm(), 0)
		if e.mode&fs.ModeSticky != 0 {
			h.Mode |= 0o1000
		}
		return tw.WriteHeader(h)
	case e.link != "":
		h := header(e.name, tar.TypeSymlink, 0o777, 0)
		h.Linkname = e.link
		return tw.WriteHeader(h)
	}
	if err := tw.WriteHeader(header(e.name, tar.TypeReg, e.mode, e.size)); err != nil {
		return err
	}
	if e.file == "" {
		_, err := io.WriteString(tw, e.data)
		return err
	}
	return copyFile(tw, entry{name: e.name, file: e.file, size: e.size})
}
