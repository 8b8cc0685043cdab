// Runs scripts of package.json files as npm does. It is part of the key of every node that runs
// scripts. Argument: the file with the job, a JSON object:
//   command  what npm was called for: "ci" or "run"
//   shell    what runs the scripts, sh if it isn't given
//   steps    [{dir, events, explicit, renew}]: events of the package in dir, in order; with explicit they
//            come with their pre and post scripts; renew has the package copied first. Or [{links}]: links {path, target, file} to
//            commands, made where the file is there by then
//   remove   paths that no output has, removed after the scripts
//   hint     what to say about the network when a script fails
//   optional the package may be missing if a script fails
//   changes  {top, out, whole, advice}: what the scripts change below top is copied to out, except
//            in the directories of the list whole. A file that was there and is gone is a mistake
//            that ends with the advice
'use strict'
const fs = require('fs')
const path = require('path')
const { spawnSync } = require('child_process')

const job = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'))
const prefix = path.dirname(path.dirname(fs.realpathSync(process.execPath)))
const npmDir = path.join(prefix, 'lib/node_modules/npm')
let npmVersion = ''
try {
  npmVersion = JSON.parse(fs.readFileSync(path.join(npmDir, 'package.json'), 'utf8')).version
} catch {} // a runtime without npm: scripts run all the same

function commonEnv () {
  const command = job.command === 'run' && parseInt(npmVersion) < 11 ? 'run-script' : job.command
  const env = Object.assign({}, process.env, {
    NODE: process.execPath,
    npm_node_execpath: process.execPath,
    npm_execpath: path.join(npmDir, 'bin/npm-cli.js'),
    npm_command: command,
    npm_config_npm_version: npmVersion,
    npm_config_user_agent: `npm/${npmVersion} node/${process.version} ${process.platform} ${process.arch} workspaces/false`,
  })
  const gyp = path.join(npmDir, 'node_modules/node-gyp/bin/node-gyp.js')
  if (fs.existsSync(gyp)) env.npm_config_node_gyp = gyp
  // Headers that lie beside the runtime save node-gyp from downloading them.
  if (fs.existsSync(path.join(prefix, 'include/node/node_version.h'))) env.npm_config_nodedir = prefix
  return env
}

// Commands of the packages around come first, then npm's node-gyp, then the system's.
function searchPath (dir) {
  const dirs = []
  for (let at = dir; ; at = path.dirname(at)) {
    if (path.basename(at) !== 'node_modules') dirs.push(path.join(at, 'node_modules', '.bin'))
    if (at === path.dirname(at)) break
  }
  const gyp = ['node_modules/@npmcli/run-script/lib/node-gyp-bin', 'bin/node-gyp-bin']
    .map(p => path.join(npmDir, p)).filter(p => fs.existsSync(p))
  return dirs.concat(gyp, process.env.PATH || []).join(':')
}

// packageEnv names the fields of a manifest as npm does: lists by index, objects by key.
function packageEnv (value, name, env) {
  if (value === undefined) return
  if (value === null || value === false) env[name] = ''
  else if (typeof value === 'object') {
    for (const [k, v] of Object.entries(value)) packageEnv(v, name + '_' + k, env)
  } else env[name] = String(value)
}

function readPackage (dir) {
  const pkg = JSON.parse(fs.readFileSync(path.join(dir, 'package.json'), 'utf8').replace(/^\uFEFF/, ''))
  if (typeof pkg.bin === 'string') pkg.bin = { [String(pkg.name).replace(/^@.*\//, '')]: pkg.bin }
  for (const [k, v] of Object.entries(pkg.bin || {})) pkg.bin[k] = path.join('/', String(v)).slice(1)
  return pkg
}

function scriptOf (pkg, dir, event) {
  const scripts = pkg.scripts || {}
  if (scripts[event]) return scripts[event]
  if (event === 'install' && !scripts.preinstall && pkg.gypfile !== false && fs.existsSync(path.join(dir, 'binding.gyp'))) {
    return 'node-gyp rebuild'
  }
  if (event === 'start' && fs.existsSync(path.join(dir, 'server.js'))) return 'node server.js'
}

function fail (dir, message) {
  console.error(message)
  if (job.hint) console.error(job.hint)
  if (!job.optional) process.exit(1)
  console.error('The package is optional: it is left out.')
  process.chdir('/')
  fs.rmSync(dir, { recursive: true, force: true })
  process.exit(0)
}

// list notes all paths below a directory that doesn't belong to whole. Links aren't followed.
function list (dir, rel, into) {
  for (const e of fs.readdirSync(dir, { withFileTypes: true })) {
    const name = rel ? rel + '/' + e.name : e.name
    if (job.changes.whole.includes(name)) continue
    into.push(name)
    if (e.isDirectory()) list(path.join(dir, e.name), name, into)
  }
  return into
}

// now is the time of the file system's clock.
function now (dir) {
  const file = path.join(dir, '.mergefest-clock')
  fs.writeFileSync(file, '')
  const time = fs.lstatSync(file, { bigint: true }).ctimeNs
  fs.unlinkSync(file)
  return time
}

// copyChanges copies what changed since a time, which the time of an inode's last change tells.
function copyChanges (since, before) {
  const { top, out, advice } = job.changes
  const after = list(top, '', [])
  const there = new Set(after)
  const stays = name => there.has(name) && fs.lstatSync(path.join(top, name)).isDirectory()
  const gone = before.filter(name => {
    const dir = path.dirname(name)
    return !there.has(name) && (dir === '.' || stays(dir))
  })
  if (gone.length) {
    console.error(`The install scripts deleted ${gone.slice(0, 5).join(', ')}${gone.length > 5 ? ` and ${gone.length - 5} more` : ''}.\n${advice}`)
    process.exit(1)
  }
  for (const name of after) {
    const from = path.join(top, name)
    const st = fs.lstatSync(from, { bigint: true })
    if (st.ctimeNs < since) continue
    const to = path.join(out, name)
    fs.mkdirSync(path.dirname(to), { recursive: true })
    if (st.isDirectory()) {
      fs.mkdirSync(to, { recursive: true })
    } else if (st.isSymbolicLink()) {
      fs.symlinkSync(fs.readlinkSync(from), to)
      continue
    } else if (st.isFile()) {
      fs.copyFileSync(from, to)
    } else continue
    fs.chmodSync(to, Number(st.mode) & 0o777)
  }
}

// makeLinks links commands that the scripts made.
function makeLinks (links) {
  for (const l of links) {
    if (!fs.existsSync(l.file) || fs.existsSync(l.path)) continue
    fs.chmodSync(l.file, fs.statSync(l.file).mode | 0o111)
    fs.mkdirSync(path.dirname(l.path), { recursive: true })
    fs.symlinkSync(l.target, l.path)
  }
}

// renew makes a copy of a directory in its place. What comes from another file system layer can't be renamed
// (EXDEV), as scripts may want to do it with parts of their package.
function renew (dir) {
  const copy = dir + '.mergefest-copy'
  fs.cpSync(dir, copy, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true })
  fs.rmSync(dir, { recursive: true })
  fs.renameSync(copy, dir)
}

function runStep (step) {
  if (step.links) return makeLinks(step.links)
  if (step.renew) renew(step.dir)
  const pkg = readPackage(step.dir)
  const id = pkg.name ? `${pkg.name}@${pkg.version || ''}` : step.dir
  const events = step.explicit ? step.events.flatMap(e => ['pre' + e, e, 'post' + e]) : step.events
  for (const event of events) {
    const script = scriptOf(pkg, step.dir, event)
    if (!script) continue
    console.log(`> ${id} ${event}\n> ${script.trim().replace(/\n/g, '\n> ')}`)
    const env = Object.assign(commonEnv(), {
      PATH: searchPath(step.dir),
      npm_package_json: path.join(step.dir, 'package.json'),
      npm_lifecycle_event: event,
      npm_lifecycle_script: script,
    })
    for (const k of ['name', 'version', 'config', 'engines', 'bin']) packageEnv(pkg[k], 'npm_package_' + k, env)
    const r = spawnSync(job.shell || 'sh', ['-c', script], { cwd: step.dir, env, stdio: ['ignore', 'inherit', 'inherit'] })
    if (r.status === 0) continue
    const why = r.error ? r.error.message : r.signal ? `signal ${r.signal}` : `status ${r.status}`
    fail(step.dir, `${id}: the ${event} script failed with ${why}.`)
  }
}

const before = job.changes && list(job.changes.top, '', [])
const since = job.changes && now(job.changes.top)
job.steps.forEach(runStep)
if (job.changes) copyChanges(since, before)
for (const p of job.remove || []) fs.rmSync(p, { recursive: true, force: true })
