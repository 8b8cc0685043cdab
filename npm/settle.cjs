// Leaves optional packages out whose install scripts failed, with what only they need, as npm does.
// Which scripts fail is known when they ran, so the graph can't tell. Argument: the file with the
// job, a JSON object:
//   scripted  [{at, loc}]: where a package with scripts is found afterwards, if they didn't fail
//   nodes     [{loc, part, held, in, out}]: packages that may have to go. part is the directory with
//             what its tarball brings ("" for what arrives with another one), held says that
//             something outside of the list depends on it, in and out are its edges within the list:
//             [index, optional]
//   packages  whether what stays of the nodes is copied to out
//   lock      the file with npm's record, written to out without the packages that go
//   indent, newline   its style
//   out       the directory for results
'use strict'
const fs = require('fs')
const path = require('path')

const job = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'))

// optionalSet is what goes with a package: what can't be without it, and what nothing else needs.
// gone are those that went before.
function optionalSet (start, gone) {
  const set = new Set([start])
  for (const n of set) {
    for (const [from, optional] of job.nodes[n].in) if (!optional) set.add(from)
  }
  const counts = (from, to) => !set.has(to) && !gone.has(from)
  const deps = new Set(set)
  for (const n of deps) {
    for (const [to] of job.nodes[n].out) if (counts(n, to)) deps.add(to)
  }
  for (let changed = true; changed;) {
    changed = false
    for (const n of deps) {
      if (set.has(n)) continue
      const { held, in: edges } = job.nodes[n]
      if (held || edges.some(([from]) => !deps.has(from) && counts(from, n))) {
        deps.delete(n)
        changed = true
      }
    }
  }
  return deps
}

const index = new Map(job.nodes.map((n, i) => [n.loc, i]))
const gone = new Set()
for (const s of job.scripted) {
  if (fs.existsSync(path.join(s.at, s.loc))) continue
  if (job.lock) console.log(`${s.loc}: its install scripts failed; it is optional and left out`)
  for (const n of optionalSet(index.get(s.loc), gone)) gone.add(n)
}

const isGone = place => [...gone].some(i => (place + '/').startsWith(job.nodes[i].loc + '/'))

if (job.packages) {
  fs.mkdirSync(job.out, { recursive: true })
  job.nodes.forEach((n, i) => {
    if (!n.part) return
    // Of what goes, npm leaves the directories around it.
    const around = src => fs.lstatSync(src).isDirectory() && !isGone(path.relative(n.part, src))
    fs.cpSync(n.part, job.out, { recursive: true, verbatimSymlinks: true, filter: gone.has(i) ? around : undefined })
  })
}
if (job.lock) {
  const file = path.join(job.out, 'node_modules/.package-lock.json')
  let text = fs.readFileSync(job.lock, 'utf8')
  if (gone.size) {
    const lock = JSON.parse(text)
    for (const n of gone) delete lock.packages[job.nodes[n].loc]
    text = (JSON.stringify(lock, null, job.indent) + '\n').replace(/\n/g, job.newline)
  }
  fs.mkdirSync(path.dirname(file), { recursive: true })
  fs.writeFileSync(file, text)
}
