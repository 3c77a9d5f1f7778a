// The line of mid prices on a canvas, with our fills and resting orders. Redrawn at most once a frame.

import { clockTime, decimal } from "./format.js";

const RIGHT = 76;
const BOTTOM = 22;
const TOP = 10;

export class Chart {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.minutes = 3;
    this.pointer = null;
    this.input = { points: [], marks: [], orders: [], decimals: 2 };
    canvas.addEventListener("pointermove", (event) => { this.pointer = { x: event.offsetX, y: event.offsetY }; this.draw(); });
    canvas.addEventListener("pointerleave", () => { this.pointer = null; this.draw(); });
    new ResizeObserver(() => this.draw()).observe(canvas.parentElement);
  }

  show(input) {
    this.input = input;
    this.draw();
  }

  draw() {
    const scale = devicePixelRatio || 1;
    const width = this.canvas.clientWidth;
    const height = this.canvas.clientHeight;
    if (!width || !height) return;
    if (this.canvas.width !== Math.round(width * scale) || this.canvas.height !== Math.round(height * scale)) {
      this.canvas.width = Math.round(width * scale);
      this.canvas.height = Math.round(height * scale);
    }
    const pen = this.context;
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = "10.5px " + getComputedStyle(document.body).fontFamily;
    this.colours = colours();
    this.area = { left: 0, right: width - RIGHT, top: TOP, bottom: height - BOTTOM, width };
    const frame = this.frame();
    if (!frame) return this.empty();
    this.axes(frame);
    this.line(frame);
    this.resting(frame);
    this.marks(frame);
    this.lastPrice(frame);
    if (this.pointer) this.crosshair(frame);
  }

  /** The window of time and price that is shown, and the functions from both to pixels. */
  frame() {
    const all = this.input.points;
    if (all.length < 2) return null;
    const end = all[all.length - 1][0];
    const begin = Math.max(end - this.minutes * 60000, all[0][0]);
    const points = all.filter(([at]) => at >= begin);
    if (points.length < 2) return null;
    const marks = this.input.marks.filter((mark) => mark.at >= begin && mark.at <= end + 2000);
    const prices = points.map(([, mid]) => mid).concat(marks.map((mark) => mark.price));
    let low = Math.min(...prices);
    let high = Math.max(...prices);
    const margin = Math.max((high - low) * 0.12, 10 ** -this.input.decimals * 4);
    low -= margin;
    high += margin;
    const { left, right, top, bottom } = this.area;
    const x = (at) => left + ((at - begin) / Math.max(end - begin, 1)) * (right - left - 14);
    const y = (price) => bottom - ((price - low) / (high - low)) * (bottom - top);
    const atX = (pixel) => begin + ((pixel - left) / (right - left - 14)) * (end - begin);
    const atY = (pixel) => low + ((bottom - pixel) / (bottom - top)) * (high - low);
    return { points, marks, begin, end, low, high, x, y, atX, atY };
  }

  empty() {
    const pen = this.context;
    pen.fillStyle = this.colours.muted;
    pen.textAlign = "center";
    pen.fillText("waiting for prices", this.area.width / 2, (this.area.top + this.area.bottom) / 2);
  }

  axes(frame) {
    const pen = this.context;
    const { right, bottom, top } = this.area;
    pen.strokeStyle = this.colours.line;
    pen.fillStyle = this.colours.muted;
    pen.lineWidth = 1;
    pen.textBaseline = "middle";
    pen.textAlign = "left";
    const step = niceStep((frame.high - frame.low) / Math.max(2, Math.floor((bottom - top) / 52)), this.input.decimals);
    for (let price = Math.ceil(frame.low / step) * step; price < frame.high; price += step) {
      const y = Math.round(frame.y(price)) + 0.5;
      stroke(pen, [[0, y], [right, y]]);
      pen.fillText(this.priceText(price), right + 8, y);
    }
    const timeStep = niceTimeStep((frame.end - frame.begin) / Math.max(2, Math.floor(right / 120)));
    pen.textAlign = "center";
    for (let at = Math.ceil(frame.begin / timeStep) * timeStep; at < frame.end; at += timeStep) {
      const x = Math.round(frame.x(at)) + 0.5;
      stroke(pen, [[x, top], [x, bottom]]);
      if (x > 26 && x < right - 26) pen.fillText(clockTime(at), x, bottom + 12);
    }
  }

  line(frame) {
    const pen = this.context;
    const path = frame.points.map(([at, mid]) => [frame.x(at), frame.y(mid)]);
    const wash = pen.createLinearGradient(0, this.area.top, 0, this.area.bottom);
    wash.addColorStop(0, this.colours.accent + "38");
    wash.addColorStop(1, this.colours.accent + "00");
    pen.beginPath();
    path.forEach(([x, y], index) => (index ? pen.lineTo(x, y) : pen.moveTo(x, y)));
    pen.strokeStyle = this.colours.accent;
    pen.lineWidth = 1.4;
    pen.lineJoin = "round";
    pen.stroke();
    pen.lineTo(path[path.length - 1][0], this.area.bottom);
    pen.lineTo(path[0][0], this.area.bottom);
    pen.fillStyle = wash;
    pen.fill();
  }

  resting(frame) {
    const pen = this.context;
    pen.save();
    pen.setLineDash([3, 4]);
    pen.lineWidth = 1;
    for (const order of this.input.orders) {
      const price = Number(order.price);
      if (!(price > frame.low && price < frame.high)) continue;
      pen.strokeStyle = (order.side === "BUY" ? this.colours.up : this.colours.down) + "99";
      const y = Math.round(frame.y(price)) + 0.5;
      stroke(pen, [[0, y], [this.area.right, y]]);
    }
    pen.restore();
  }

  marks(frame) {
    const pen = this.context;
    // Many fills in sight are drawn smaller, so that the line stays in sight too.
    const size = frame.marks.length > 400 ? 2.2 : frame.marks.length > 80 ? 3 : 4.5;
    pen.lineWidth = size / 3;
    for (const mark of frame.marks) {
      const buy = mark.side === "BUY";
      const x = Math.min(frame.x(mark.at), this.area.right - 5);
      const tip = frame.y(mark.price) + (buy ? 2 : -2);
      const base = tip + (buy ? 1.8 : -1.8) * size;
      pen.beginPath();
      pen.moveTo(x, tip);
      pen.lineTo(x - size, base);
      pen.lineTo(x + size, base);
      pen.closePath();
      pen.strokeStyle = this.colours.panel;
      pen.stroke();
      pen.fillStyle = buy ? this.colours.up : this.colours.down;
      pen.fill();
    }
  }

  lastPrice(frame) {
    const [at, mid] = frame.points[frame.points.length - 1];
    const pen = this.context;
    pen.fillStyle = this.colours.accent;
    pen.beginPath();
    pen.arc(frame.x(at), frame.y(mid), 3, 0, 7);
    pen.fill();
    this.tag(frame.y(mid), this.priceText(mid), this.colours.accent, "#fff");
  }

  crosshair(frame) {
    const pen = this.context;
    const { x, y } = this.pointer;
    const { right, top, bottom } = this.area;
    if (x > right || y < top || y > bottom) return;
    pen.save();
    pen.setLineDash([2, 3]);
    pen.strokeStyle = this.colours.muted;
    stroke(pen, [[0, Math.round(y) + 0.5], [right, Math.round(y) + 0.5]]);
    stroke(pen, [[Math.round(x) + 0.5, top], [Math.round(x) + 0.5, bottom]]);
    pen.restore();
    this.tag(y, this.priceText(frame.atY(y)), this.colours.raised, this.colours.text);
    pen.textAlign = "center";
    pen.fillStyle = this.colours.text;
    pen.fillText(clockTime(frame.atX(x)), Math.min(Math.max(x, 28), right - 28), bottom + 12);
    const near = frame.marks.find((mark) => Math.hypot(frame.x(mark.at) - x, frame.y(mark.price) - y) < 12);
    if (near) this.note(x, y, `${near.strategy}  ${near.side.toLowerCase()} ${Number(near.size)} at ${this.priceText(near.price)}`);
  }

  note(x, y, text) {
    const pen = this.context;
    const width = pen.measureText(text).width + 16;
    const left = Math.min(Math.max(4, x + 12), this.area.right - width);
    pen.fillStyle = this.colours.raised;
    pen.strokeStyle = this.colours.line;
    pen.beginPath();
    pen.roundRect(left, Math.max(this.area.top, y - 32), width, 22, 4);
    pen.fill();
    pen.stroke();
    pen.fillStyle = this.colours.text;
    pen.textAlign = "left";
    pen.fillText(text, left + 8, Math.max(this.area.top, y - 32) + 11);
  }

  tag(y, text, back, front) {
    const pen = this.context;
    pen.fillStyle = back;
    pen.beginPath();
    pen.roundRect(this.area.right + 2, y - 9, RIGHT - 6, 18, 3);
    pen.fill();
    pen.fillStyle = front;
    pen.textAlign = "left";
    pen.textBaseline = "middle";
    pen.fillText(text, this.area.right + 8, y + 0.5);
  }

  priceText(price) {
    return decimal(price.toFixed(this.input.decimals), this.input.decimals);
  }
}

/** A line of values in a table cell, with its zero. */
export function sparkline(canvas, values) {
  const scale = devicePixelRatio || 1;
  const [width, height] = [150, 20];
  if (canvas.width !== width * scale) [canvas.width, canvas.height] = [width * scale, height * scale];
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  if (values.length < 2) return;
  const low = Math.min(...values, 0);
  const high = Math.max(...values, 0);
  const y = (value) => height - 2 - ((value - low) / (high - low || 1)) * (height - 4);
  const tints = colours();
  pen.strokeStyle = tints.line;
  pen.lineWidth = 1;
  stroke(pen, [[0, Math.round(y(0)) + 0.5], [width, Math.round(y(0)) + 0.5]]);
  pen.strokeStyle = values[values.length - 1] >= 0 ? tints.up : tints.down;
  pen.lineWidth = 1.3;
  stroke(pen, values.map((value, index) => [(index / (values.length - 1)) * width, y(value)]));
}

function stroke(pen, path) {
  pen.beginPath();
  path.forEach(([x, y], index) => (index ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  pen.stroke();
}

function colours() {
  const style = getComputedStyle(document.documentElement);
  const names = ["panel", "raised", "line", "text", "muted", "up", "down", "accent"];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue("--" + name).trim()]));
}

function niceStep(rough, decimals) {
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough);
  return Math.max(step, 10 ** -decimals);
}

function niceTimeStep(rough) {
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600].map((seconds) => seconds * 1000);
  return steps.find((step) => step >= rough) || steps[steps.length - 1];
}
