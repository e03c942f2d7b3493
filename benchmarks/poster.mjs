// The same poster with what Node has for it. Reads a scene from the file that is named, prints milliseconds a poster.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { pathToFileURL } from "node:url";

const scene = JSON.parse(readFileSync(process.argv[2], "utf8"));
const require = createRequire(join(process.cwd(), "package.json"));
const load = async (name) => import(pathToFileURL(require.resolve(name)).href);
const QRCode = (await load("qrcode")).default;
const { width, height, avatar, nickname, code, line } = scene;
const code_options = { errorCorrectionLevel: "M", margin: 4, width: code[2] };
const data_url = (kind, bytes) => `data:image/${kind};base64,${bytes}`;

async function satori_poster() {
  const module = (await load("satori")).default;
  const satori = module.default ?? module;
  const { Resvg } = await load("@resvg/resvg-js");
  const fonts = [{ name: "sans", data: readFileSync(scene.font), weight: 400, style: "normal" }];
  const background = data_url("png", readFileSync(scene.background).toString("base64"));
  const at = (left, top, more) => ({ position: "absolute", left, top, ...more });
  const picture = (src, [left, top, side], more = {}) =>
    ({ type: "img", props: { src, width: side, height: side, style: at(left, top, more) } });
  const words = (text, [left, top], fontSize, color) =>
    ({ type: "div", props: { children: text, style: at(left, top, { fontSize, color }) } });
  return async (person) => {
    const qr = await QRCode.toDataURL(person.link, code_options);
    const tree = { type: "div", props: { style: { display: "flex", width, height }, children: [
      { type: "img", props: { src: background, width, height, style: at(0, 0) } },
      picture(data_url("jpeg", person.avatar), avatar, { borderRadius: avatar[2] / 2 }),
      words(person.nickname, nickname, 36, "#1F2328"),
      words(`邀请码 ${person.code}`, line, 26, "#B42313"),
      picture(qr, code),
    ] } };
    return new Resvg(await satori(tree, { width, height, fonts })).render().asPng();
  };
}

function canvas_poster(name) {
  return async () => {
    const { createCanvas, loadImage, GlobalFonts, registerFont } = (await load(name)).default;
    if (GlobalFonts) GlobalFonts.registerFromPath(scene.font, "sans-sc");
    else registerFont(scene.font, { family: "sans-sc" });
    const background = await loadImage(scene.background);
    return async (person) => {
      const canvas = createCanvas(width, height);
      const pen = canvas.getContext("2d");
      pen.drawImage(background, 0, 0);
      const [left, top, side] = avatar;
      pen.save();
      pen.beginPath();
      pen.arc(left + side / 2, top + side / 2, side / 2, 0, 2 * Math.PI);
      pen.clip();
      pen.drawImage(await loadImage(Buffer.from(person.avatar, "base64")), left, top, side, side);
      pen.restore();
      pen.textBaseline = "top";
      pen.font = "36px sans-sc";
      pen.fillStyle = "#1F2328";
      pen.fillText(person.nickname, nickname[0], nickname[1]);
      pen.font = "26px sans-sc";
      pen.fillText(`邀请码 ${person.code}`, line[0], line[1]);
      pen.drawImage(await loadImage(await QRCode.toBuffer(person.link, code_options)), code[0], code[1], code[2], code[2]);
      return canvas.toBuffer("image/jpeg", GlobalFonts ? 85 : { quality: 0.85 });
    };
  };
}

async function measured(prepare) {
  const draw = await prepare();
  await draw(scene.people[0]);
  const taken = [];
  for (const person of scene.people) {
    const began = performance.now();
    await draw(person);
    taken.push(performance.now() - began);
  }
  return taken.sort((one, other) => one - other)[taken.length >> 1];
}

const rivals = { "satori + resvg-js": satori_poster };
for (const name of ["canvas", "@napi-rs/canvas"]) rivals[name] = canvas_poster(name);
const found = {};
for (const [name, prepare] of Object.entries(rivals)) {
  try {
    found[name] = await measured(prepare);
  } catch (error) {
    found[name] = String(error.message).split("\n")[0];
  }
}
console.log(JSON.stringify(found));
