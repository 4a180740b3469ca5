// SPDX-License-Identifier: PostgreSQL
// check.js: the delivery checker: people chat through a real gateway for a while, things break, and then it is proved that
// nothing was lost, repeated or out of order, and that everybody knows what there is to know (record.js: INVARIANTS).
//
//	DURATION=60 [SEED=1] [USERS=16] [BUG=lost] node gateway/test/check/check.js
//
// 1. A cluster, a gateway of two workers, users with two devices each, chats of all kinds (lab.js).
// 2. For DURATION seconds users do what users do (users.js), each device keeps its state from what it is sent (device.js,
//    model.js), and the nemesis breaks things (nemesis.js). With BUG nothing breaks; a proxy lies to one device (proxy.js).
// 3. All is healed. A last message in each chat and a last draft of each user are waited for, then cursors that are
//    beyond all that has happened.
// 4. The proofs (proofs.js). A violation is shown with its evidence, and all that was recorded goes to build/test/check/.
//
// Ends with 0 when nothing was violated. The seed decides what users try and what breaks when; the machine decides how
// they interleave, so the same seed is nearly the same run.

import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { root, sleep, until, within } from '../e2e/harness.js';
import { Device } from './device.js';
import { Lab } from './lab.js';
import { Nemesis } from './nemesis.js';
import { proveAnswers, proveLeaks, proveStates, proveStreams, proveVerify, readHistory } from './proofs.js';
import { BUGS, Proxy } from './proxy.js';
import { Random } from './random.js';
import { Record } from './record.js';
import { isAfter, laterId } from './snapshot.js';
import { Crowd } from './users.js';

const number = (name, fallback) => {
	const value = Number(process.env[name] || fallback);
	if (!Number.isInteger(value) || value < 1)
		throw new Error(`${name} is a whole number above 0`);
	return value;
};
const duration = number('DURATION', 60) * 1000;
const seed = number('SEED', 1 + Date.now() % 1000000);
const size = Math.max(8, number('USERS', 16));
const bug = process.env.BUG || null;
if (bug && !BUGS.includes(bug))
	throw new Error(`BUG is one of ${BUGS.join(', ')}`);

const DEVICES = 2;                     // of each user
const PATIENCE = bug ? 6000 : 60000;   // ms until all must have come to rest
const folder = join(root, 'build/test/check');
const randomOf = name => new Random(seed, name);
const record = new Record();

// Users with a token for each device, in the order of their ids.
function makeUsers(lab)
{
	return lab.rows(`SELECT u.id::text, u.user_name AS name, ARRAY(SELECT s.token FROM generate_series(1, ${DEVICES}) d
			CROSS JOIN LATERAL chat.create_session(u.id, 'device ' || d) s) AS tokens
		FROM generate_series(1, ${size}) n CROSS JOIN LATERAL chat.create_user('user' || n) u ORDER BY u.id`);
}

async function makeChats(lab, users)
{
	const group = async (title, members) => {
		const [owner, ...others] = members.map(({ id }) => id);
		return lab.sql(`SELECT (chat.create_group(${owner}, '${title}', '{${others}}')).id`);
	};
	const chats = { all: await group('all', users), team: await group('team', users.slice(1, 7)) };
	chats.room = await lab.sql(`SELECT (chat.create_room(${users[2].id}, 'room')).id`);
	for (let i = 0; i + 2 < size; i += 3)
		await group(`small ${i}`, users.slice(i, i + 3));
	for (let i = 0; i + 1 < size; i += 2)
		await lab.sql(`SELECT chat.open_direct_chat(${users[i].id}, ${users[i + 1].id})`);
	return chats;
}

// Everybody's life, and what shakes it.
function begin(crowd, devices, chats, users)
{
	const of = (user, device = 0) => devices[user * DEVICES + device];
	crowd.start(randomOf);
	crowd.join(crowd.churn(of(0), chats.all, users.slice(-2).map(({ id }) => id), 1500, randomOf('churn all')));
	crowd.join(crowd.churn(of(1), chats.team, users.slice(4, 7).map(({ id }) => id), 1200, randomOf('churn team')));
	for (const visitor of [3, 4, 5, 6, 7])
		crowd.join(crowd.visit(of(visitor), chats.room, 3000, randomOf(`visit ${visitor}`)));
	crowd.join(crowd.found(of(3), users.slice(4, 8).map(({ id }) => id), 3000, randomOf('found')));
	if (bug) // the drafts that stale_state needs
		crowd.join(crowd.compose(of(0, 1), chats.all, 400, randomOf('compose')));
	for (const device of devices.slice(bug ? 1 : 0))
		crowd.join(crowd.wander(device, 9000, randomOf(`wander ${device.name}`), { forgetting: !bug }));
}

// The last message of each chat and the last draft of each user: when they have come, all before them has, too.
async function sendLast(crowd, devices, users)
{
	const last = { messages: new Map(), drafts: new Map() };
	const random = randomOf('last');
	await Promise.all(devices.filter((_, i) => i % DEVICES === 0).map(async device => {
		for (const chat of device.chats.values())
			if (!chat.left && !chat.gone && !last.messages.has(chat.id))
			{
				last.messages.set(chat.id, null);
				await crowd.attempt(device, () => crowd.send(device, chat, random, 'the last one'));
				last.messages.set(chat.id, crowd.sent.findLast(entry => entry.chat_id === chat.id && entry.id)?.id);
			}
	}));
	await Promise.all(users.map(async (user, i) => {
		const device = devices[i * DEVICES];
		const chat = [...device.chats.values()].find(one => !one.left && !one.gone);
		const draft = await device.persist('save_draft', { chat_id: chat.id, body: `the last one of ${user.name}` });
		last.drafts.set(user.id, { chat_id: chat.id, version: draft.version });
	}));
	return last;
}

function hasLast(device, { messages, drafts })
{
	const draft = drafts.get(device.user.id);
	const chat = device.chats.get(draft.chat_id);
	return device.complete && chat && !isAfter(draft.version, chat.draft.version) &&
		[...device.chats.values()].every(one => one.left || one.gone || !messages.get(one.id) || !isAfter(messages.get(one.id), one.last));
}

// Waits until no device lacks it; who does is a violation.
async function settle(devices, what, has)
{
	const waits = device => until(() => has(device), what, PATIENCE).then(() => null, () => device.name);
	const late = (await Promise.all(devices.map(waits))).filter(Boolean);
	return record.expect('progress', late.length === 0, () => ({ 'not in time': what, devices: late }));
}

async function comeToRest(crowd, devices, users)
{
	await within(crowd.stop(), 'all calls are answered', PATIENCE).then(() => record.check('progress'), error =>
		record.violate('progress', { error: error.message }));
	await settle(devices, 'all devices are there', device => device.complete);
	const last = await sendLast(crowd, devices, users);
	await settle(devices, 'the last messages and drafts have come', device => hasLast(device, last));
	if (bug)
		return;
	const end = [...last.messages.values(), ...[...last.drafts.values()].map(({ version }) => version)].filter(Boolean).reduce(laterId);
	await settle(devices, 'the cursors are beyond all events', device => device.cursor !== null && !isAfter(end, device.cursor));
}

async function main()
{
	const random = randomOf('run');
	const tinyRing = !bug && random.chance(0.5);
	console.log(`seed ${seed}: ${duration / 1000} s, ${size} users of ${DEVICES} devices${tinyRing ? ', a tiny ring' : ''}${bug ? `, bug ${bug}` : ''}`);
	const lab = await Lab.start({ tinyRing });
	const proxy = bug ? await Proxy.start(bug, () => lab.url) : null;
	const nemesis = new Nemesis(lab, record, randomOf('nemesis'));
	let devices = [];
	try
	{
		await lab.sql("SELECT chat.set_setting('sync_chat_limit', '40')");
		await lab.sql("SELECT chat.set_setting('approaches_max', '1000000'), chat.set_setting('approaches_to_one_max', '1000000')");
		const users = await makeUsers(lab);
		const chats = await makeChats(lab, users);
		devices = users.flatMap(({ id, name, tokens }) => tokens.map((token, i) =>
			new Device({ id, name, token }, `${name}.${i}`, proxy && name === users[0].name && i === 0 ? proxy.url : lab.url, record, randomOf(`device ${name}.${i}`))));
		for (const device of devices)
			device.start();
		if (!await settle(devices, 'all devices are there at first', device => device.complete))
			return;
		const crowd = new Crowd(record, seed, devices, { pause: bug ? 150 : 300 });
		begin(crowd, devices, chats, users);
		if (bug)
		{
			await sleep(Math.min(1000, duration / 4));
			proxy.arm(chats.all);
			await sleep(duration);
		}
		else
		{
			await sleep(duration * 0.05);
			await nemesis.rage(duration * 0.9);
			await sleep(duration * 0.05);
			await nemesis.heal();
			if (duration >= 60000)
				record.expect('progress', Object.keys(nemesis.missed).length === 0, () => ({ 'never broken': nemesis.missed }));
		}
		await comeToRest(crowd, devices, users);
		await Promise.all(devices.map(device => device.stop()));
		const history = await readHistory(lab);
		proveAnswers(history, crowd, record);
		proveStreams(history, devices, crowd, record);
		proveLeaks(history, devices, crowd, record);
		await proveStates(devices, user => lab.sql(`SELECT s.token FROM chat.create_session(${user.id}, 'fresh') s`), lab.url, record);
		await proveVerify(lab, record);
		record.count('messages answered', crowd.sent.filter(entry => entry.id).length);
	}
	finally
	{
		for (const device of devices)
			device.stop();
		proxy?.stop();
		await nemesis.heal().catch(() => {});
		await report(lab, nemesis, proxy);
	}
}

async function report(lab, nemesis, proxy)
{
	for (const [kind, times] of Object.entries(nemesis.injected))
		record.count(`fault ${kind}`, times);
	console.log(record.summary());
	if (bug)
		console.log(`planted: ${JSON.stringify(proxy.planted)}`);
	if (record.failed)
	{
		const name = `${bug ?? 'run'}-${seed}`;
		console.log(`seed ${seed}; all that was recorded: ${await record.save(folder, name)}`);
		await writeFile(join(folder, `${name}.gateway.log`), lab.gateway.log);
		await copyFile(join(await lab.home(), 'log'), join(folder, `${name}.server.log`)).catch(() => {});
	}
	await lab.stop().catch(error => record.violate('progress', { error: error.message }));
}

await main();
process.exit(record.failed ? 1 : 0);
