// What a valid action is, for each kind.

package graph

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"

	"github.com/mergefest/mergefest/graph/action"
)

func (c *checker) fetch(f *Fetch) {
	if len(f.Items) == 0 && len(f.Files) == 0 {
		c.addf("fetch", "it has neither items nor files")
	}
	made := pathSet{}
	for i, item := range f.Items {
		field := fmt.Sprintf("fetch.items[%d]", i)
		c.item(field, item)
		for j, d := range item.Dests {
			field := fmt.Sprintf("%s.dests[%d]", field, j)
			if d == "." && item.Unpack != nil {
				c.add(field, made.add(d, item.Name, false))
				continue
			}
			if err := checkRelative(d, false); err != nil {
				c.add(field, err)
				continue
			}
			c.add(field, made.add(d, item.Name, item.Unpack == nil))
		}
	}
	c.files("fetch.files", f.Files, fetchFiles)
}

func (c *checker) item(field string, it action.Item) {
	if it.Name == "" {
		c.addf(field+".name", "an item needs a name for messages")
	}
	if len(it.URLs) == 0 {
		c.addf(field+".urls", "at least one URL is needed")
	}
	for i, u := range it.URLs {
		c.add(fmt.Sprintf("%s.urls[%d]", field, i), checkURL(u))
	}
	if len(it.Integrity) == 0 && !it.Unverified {
		c.addf(field+".integrity", "%s has no integrity; give one, or allow it with \"unverified\"", it.Name)
	}
	for i, s := range it.Integrity {
		c.add(fmt.Sprintf("%s.integrity[%d]", field, i), checkIntegrity(s))
	}
	if it.Auth != "" {
		c.add(field+".auth", checkSecretName(it.Auth))
	}
	if len(it.Dests) == 0 {
		c.addf(field+".dests", "at least one destination is needed")
	}
	if it.Unless != "" {
		c.add(field+".unless", checkRelative(it.Unless, false))
	}
	c.add(field+".mode", checkMode(it.Mode))
	if it.Unpack != nil {
		c.unpack(field+".unpack", it.Unpack)
	}
}

func (c *checker) unpack(field string, u *action.Unpack) {
	if u.Format != "tar" && u.Format != "zip" {
		c.addf(field+".format", "%q isn't a format; want \"tar\" or \"zip\"", u.Format)
	}
	if u.RawStrip && u.Prefix != "" {
		c.addf(field+".rawStrip", "it excludes a prefix")
	}
	if u.Strip < 0 {
		c.addf(field+".strip", "%d is negative", u.Strip)
	}
	switch u.Links {
	case "", "keep", "skip", "refuse":
	default:
		c.addf(field+".links", "%q isn't possible; want \"keep\", \"skip\" or \"refuse\"", u.Links)
	}
	c.add(field+".setMode", checkMode(u.SetMode))
	c.add(field+".clearMode", checkMode(u.ClearMode))
	c.add(field+".prefix", checkText(u.Prefix))
	for i, p := range u.Executable {
		c.add(fmt.Sprintf("%s.executable[%d]", field, i), checkText(p))
	}
}

func checkURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return errors.New("it isn't a URL") // err would print it, with what may be a password
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("the scheme %q isn't possible; want http or https", u.Scheme)
	case u.Host == "":
		return errors.New("the URL has no host")
	case u.User != nil:
		return fmt.Errorf("the URL of %s contains a user name; pass credentials as a secret with \"auth\"", u.Host)
	}
	return checkText(s)
}

var integrityForm = regexp.MustCompile(`^(h1:[A-Za-z0-9+/]+={0,2}|sha(512|384|256|1)-[A-Za-z0-9+/]+={0,2}(\?.*)?|sha(512|384|256|1):[0-9a-fA-F]+)$`)

func checkIntegrity(s string) error {
	if !integrityForm.MatchString(s) {
		return fmt.Errorf(`%q isn't an integrity; want "sha512-<base64>" (also sha384, sha256, sha1), "sha256:<hex>" or "h1:<base64>"`, s)
	}
	return nil
}

func checkSecretName(s string) error {
	if s == "" || s == "." || s == ".." || strings.ContainsAny(s, "/ ") {
		return fmt.Errorf("%q isn't a secret's name: it must not be empty or contain slashes or spaces", s)
	}
	return checkText(s)
}

func checkMode(m uint32) error {
	if m&^0o777 != 0 {
		return fmt.Errorf("mode %#o has more than permission bits", m)
	}
	return nil
}

type filePlace int

const (
	writeFiles filePlace = iota // relative
	fetchFiles                  // relative, may have If
	runFiles                    // absolute
)

func (c *checker) files(field string, files []action.File, place filePlace) {
	made := pathSet{}
	for i, f := range files {
		field := fmt.Sprintf("%s[%d]", field, i)
		var err error
		if place == runFiles {
			err = checkAbsolute(f.Path)
		} else {
			err = checkRelative(f.Path, false)
		}
		if err != nil {
			c.add(field+".path", err)
			continue
		}
		c.add(field+".path", made.add(f.Path, fmt.Sprintf("files[%d]", i), !f.Dir))
		kinds := 0
		for _, set := range []bool{f.Text != "", len(f.Data) > 0, f.Link != "", f.Dir} {
			if set {
				kinds++
			}
		}
		if kinds > 1 {
			c.addf(field, "text, data, link and dir exclude each other")
		}
		c.add(field+".mode", checkMode(f.Mode))
		c.add(field+".text", checkTextValue(f.Text))
		c.add(field+".link", checkText(f.Link))
		if f.If != "" && place != fetchFiles {
			c.addf(field+".if", "only the files of a fetch can have a condition")
		} else if f.If != "" {
			c.add(field+".if", checkRelative(f.If, false))
		}
	}
}

func checkTextValue(s string) error {
	if err := checkText(s); err != nil {
		return errors.New("the text isn't plain UTF-8; use data")
	}
	return nil
}

func (c *checker) local(l *Local) {
	c.add("local.root", checkText(l.Root))
	made := pathSet{}
	for i, f := range l.Files {
		field := fmt.Sprintf("local.files[%d]", i)
		if err := checkRelative(f.Path, false); err != nil {
			c.add(field+".path", err)
			continue
		}
		c.add(field+".path", made.add(f.Path, fmt.Sprintf("files[%d]", i), true))
		c.add(field+".mode", checkMode(f.Mode))
		if f.Source == "" {
			continue
		}
		if path.IsAbs(f.Source) || path.Clean(f.Source) != f.Source || f.Source == "." {
			c.addf(field+".source", "%q must be a clean relative path", f.Source)
		}
		c.add(field+".source", checkText(f.Source))
	}
}

func (c *checker) merge(m *Merge) {
	for i, in := range m.Parts {
		field := fmt.Sprintf("merge.parts[%d]", i)
		c.add(field+".path", checkRelative(in.Path, true))
		c.add(field+".target", checkRelative(in.Target, true))
		if in.Writable {
			c.addf(field+".writable", "only a mount of a run can be writable")
		}
	}
}

func (c *checker) image(im *Image) {
	if im.Ref == "" || strings.ContainsAny(im.Ref, " \t\n") {
		c.addf("image.ref", "%q isn't a reference to an image", im.Ref)
	}
	c.add("image.ref", checkText(im.Ref))
}

var commitHash = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

func (c *checker) git(g *Git) {
	c.add("git.url", checkRepository(g.URL))
	if !commitHash.MatchString(g.Commit) {
		c.addf("git.commit", "%q isn't the complete hash of a commit in lower case", g.Commit)
	}
}

func checkRepository(s string) error {
	u, err := url.Parse(s)
	if err != nil {
		return errors.New("it isn't a URL") // err would print it, with what may be a password
	}
	_, password := u.User.Password()
	switch {
	case u.Scheme != "https" && u.Scheme != "http" && u.Scheme != "git" && u.Scheme != "ssh":
		return fmt.Errorf("the scheme %q isn't possible; want https, http, git or ssh", u.Scheme)
	case u.Host == "" || strings.Trim(u.Path, "/") == "":
		return errors.New("want a URL with a host and a path")
	case password || u.User != nil && u.Scheme != "ssh":
		return fmt.Errorf("the URL of %s contains credentials; they belong into secrets", u.Host)
	case u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("the URL of %s has a query or a fragment", u.Host)
	}
	return checkText(s)
}

var manifestDigest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

func (c *checker) imported(im *Import) {
	if !manifestDigest.MatchString(im.Digest) {
		c.addf("import.digest", `%q isn't a digest; want "sha256:" and 64 hexadecimal digits`, im.Digest)
	}
	c.add("import.name", checkText(im.Name))
}
