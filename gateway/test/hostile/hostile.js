// SPDX-License-Identifier: PostgreSQL
// hostile.js: can one user harm others? Runs each attack of attacks.js against a bystander (bystander.js), on a cluster of its own
// with fsync on and a gateway of its own, and prints what the bystander bore.
//
//   ATTACK=search,register   some of the attacks; default: all
//   SECONDS=10               of each measurement
//   RUNS=3
//
// A run has a cluster and a gateway of its own: the bystander is measured alone, then again while the attack goes on. So nothing
// that an attack leaves to be done falls into what the next run is compared with.
// The attacker is a process at nice 19, so that it takes from the bystander what gateway and database give it, and not the
// processor. The gateway has its default settings, except that maintenance comes often enough to fall into what is measured.
//
// Judged for each kind of act: the median of the runs' 99th percentiles, at most twice that without the attack or 50 ms,
// whichever is more; no failure; and where the attack is what the bystander is told, how much that is. A worker that dies is a
// failure. Memory is what gateway and database have grown by at most (private memory; of the database, all processes).
//
// Exit 0 also when a bound is missed: the table is for people.

import { fork, spawn } from 'node:child_process';
import { readFile, readdir, readlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sleep, until, World } from '../e2e/harness.js';
import { attacks } from './attacks.js';

const here = dirname(fileURLToPath(import.meta.url));
const seconds = Number(process.env.SECONDS || 10);
const runs = Number(process.env.RUNS || 3);
const chosen = process.env.ATTACK ? process.env.ATTACK.split(',') : Object.keys(attacks);
const addresses = { bystander: '127.0.0.2', attacker: '127.0.0.66' };
const floor = 50; // ms that nobody calls slow

// The next message of a child; rejects when it says that it is broken, or dies.
const told = child => new Promise((done, failed) => {
	const end = code => failed(new Error(`a process of the bench ended: ${code}`));
	child.once('exit', end);
	child.once('message', message => {
		child.off('exit', end);
		if (message.broken)
			failed(new Error(message.broken));
		else
			done(message);
	});
});

function ask(child, message)
{
	const answer = told(child);
	child.send(message);
	return answer;
}

// Where it happens. `me` is the bystander, `chats` are those that they write in: `direct`, with the companion, and `room`, where
// the attackers are members too. `users` are the attackers', `crowd` 500 others.
async function setScene(world, attack)
{
	const crowd = await world.crowd(500);
	const me = await world.user('bystander');
	const [companion, host, ...users] = await world.crowd(2 + (attack.users ?? 1));
	const room = await world.sql(`SELECT (chat.create_room(${host.id}, 'room')).id`);
	await world.sql(`SELECT count(chat.join_room(u, ${room})) FROM unnest(ARRAY[${[me, companion, ...users].map(({ id }) => id)}]) u`);
	const direct = await world.sql(`SELECT (chat.open_direct_chat(${me.id}, ${companion.id})).id`);
	return { url: world.url, base: world.http, port: world.port, me, companion, users, crowd, room, direct, chats: [direct, room] };
}

const privateMemory = async pid => {
	const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
	return Number(/RssAnon:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024;
};

// MB of the gateway's workers and of the database's processes.
async function memory(world, data)
{
	const total = async pids => (await Promise.all(pids.map(privateMemory))).reduce((sum, size) => sum + size, 0);
	const ours = await Promise.all((await readdir('/proc')).filter(name => /^\d+$/.test(name))
		.map(async pid => (await readlink(`/proc/${pid}/cwd`).catch(() => '') === data ? pid : null)));
	return { gateway: await total(await world.gateway.workers()), database: await total(ours.filter(Boolean)) };
}

// The growth of memory until the function that it returns is called.
async function watchMemory(world, data)
{
	const before = await memory(world, data);
	const most = { gateway: 0, database: 0 };
	let going = true;
	const watching = (async () => {
		while (going)
		{
			const now = await memory(world, data);
			for (const part of Object.keys(most))
				most[part] = Math.max(most[part], now[part] - before[part]);
			await sleep(500);
		}
	})();
	return async () => {
		going = false;
		await watching;
		return most;
	};
}

// Nothing runs in the database any more that a gateway asked for.
const rest = world => until(async () => {
	for (let i = 0; i < 5; i++, await sleep(100))
		if (await world.sql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'gateway' AND state <> 'idle'") !== '0')
			return false;
	return true;
}, 'rest', 60000).catch(() => console.log('the database has not come to rest within a minute'));

async function run(world, name)
{
	const attack = attacks[name];
	const place = await setScene(world, attack);
	const prepare = async () => Object.assign(place, await attack.prepare?.(world, place));
	const bystander = fork(join(here, 'bystander.js'));
	const attacker = spawn('nice', ['-n', '19', process.execPath, join(here, 'attacker.js')], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
	const data = join((await world.cluster('path')).trim(), 'data');
	try
	{
		if (!attack.late)
			await prepare();
		await ask(bystander, { place: { ...place, address: addresses.bystander } });
		await rest(world);
		const workers = String(await world.gateway.workers());
		const before = await ask(bystander, { measure: seconds, also: attack.also });
		const growth = await watchMemory(world, data);
		if (attack.late)
			await prepare();
		await ask(attacker, { attack: name, place: { ...place, address: addresses.attacker } });
		const during = await ask(bystander, { measure: seconds, also: attack.also });
		const { outcomes } = await ask(attacker, { stop: true });
		if (String(await world.gateway.workers()) !== workers)
			during.failures.event.push('a worker of the gateway died');
		return { before, during, outcomes, memory: await growth() };
	}
	finally
	{
		bystander.kill();
		attacker.kill();
	}
}

async function runInAWorld(name)
{
	const world = await World.start({ env: { CHAT_FSYNC: 'on' }, knobs: { maintenance_interval: '2s', log_level: 'warn' } });
	try
	{
		return await run(world, name);
	}
	finally
	{
		await world.stop().catch(error => console.log(`the gateway did not end well: ${error.message.slice(0, 2000)}`));
	}
}

const quantile = (sorted, q) => (sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] : NaN);
const median = values => quantile([...values].sort((a, b) => a - b), 0.5);
const most = values => values.reduce((a, b) => (a > b ? a : b), 0);
const written = ms => (Number.isNaN(ms) ? '-' : ms < 10 ? ms.toFixed(1) : ms.toFixed(0));

// One kind of act over the runs, without the attack or with it.
function figures(measured, kind)
{
	const sorted = measured.map(({ samples }) => [...samples[kind]].sort((a, b) => a - b));
	return {
		p50: median(sorted.map(all => quantile(all, 0.5))),
		p99: median(sorted.map(all => quantile(all, 0.99))),
		max: most(sorted.map(all => all.at(-1) ?? 0)),
		failures: measured.flatMap(({ failures }) => failures[kind])
	};
}

function tally(lists)
{
	const counts = new Map();
	for (const [what, times] of lists)
		counts.set(what, (counts.get(what) ?? 0) + times);
	return [...counts].sort((a, b) => b[1] - a[1]).slice(0, 6).map(([what, times]) => `${times} × ${what}`).join(', ');
}

function table(rows)
{
	const widths = rows[0].map((_, i) => most(rows.map(row => String(row[i]).length)));
	return rows.map(row => row.map((cell, i) => (i ? String(cell).padStart(widths[i]) : String(cell).padEnd(widths[i]))).join('  ')).join('\n');
}

// Prints what an attack did; the kinds that are out of bounds.
function judge(name, results)
{
	const before = results.map(result => result.before);
	const during = results.map(result => result.during);
	const rows = [['', 'before p50', 'p99', 'max', 'during p50', 'p99', 'max ms', 'failures', 'bound', 'verdict']];
	const missed = [];
	for (const kind of Object.keys(before[0].samples))
	{
		const without = figures(before, kind);
		const under = figures(during, kind);
		const bound = Math.max(2 * without.p99, floor);
		const good = under.p99 <= bound && under.failures.length === 0;
		if (!good)
			missed.push(kind);
		rows.push([kind, ...[without.p50, without.p99, without.max, under.p50, under.p99, under.max].map(written),
			`${without.failures.length ? `(${without.failures.length}) ` : ''}${under.failures.length}`, written(bound), good ? 'pass' : 'MISSED']);
	}
	console.log(table(rows));
	const heard = median(during.map(each => each.heard));
	const told = `pushes from others to the bystander ${written(heard)}/s`;
	const { heard: limit } = attacks[name];
	if (limit !== undefined && heard > limit)
		missed.push('pushes');
	console.log(`${told}${limit === undefined ? '' : ` (bound ${limit}/s)`}, replays ${during.map(({ replays }) => replays).join(' ')}; memory ` +
		`gateway +${most(results.map(result => result.memory.gateway)).toFixed(0)} MB, database +${most(results.map(result => result.memory.database)).toFixed(0)} MB`);
	console.log(`the attacker's calls: ${tally(results.flatMap(({ outcomes }) => Object.entries(outcomes))) || 'none'}`);
	const failures = Object.keys(before[0].samples).flatMap(kind => figures(during, kind).failures.map(text => [`${kind}: ${text}`, 1]));
	if (failures.length)
		console.log(`failures: ${tally(failures)}`);
	return missed;
}

const unknown = chosen.filter(name => !attacks[name]);
if (unknown.length)
{
	console.error(`no such attack: ${unknown.join(', ')}; there are ${Object.keys(attacks).join(', ')}`);
	process.exit(2);
}
const verdicts = [];
for (const name of chosen)
{
	console.log(`\n== ${name}: ${attacks[name].what}`);
	const results = [];
	for (let i = 0; i < runs; i++)
		results.push(await runInAWorld(name));
	verdicts.push([name, judge(name, results)]);
}
console.log('');
for (const [name, missed] of verdicts)
	console.log(`${name.padEnd(14)} ${missed.length ? `MISSED: ${missed.join(', ')}` : 'pass'}`);
console.log(`${verdicts.filter(([, missed]) => !missed.length).length} of ${verdicts.length} attacks within bounds`);
