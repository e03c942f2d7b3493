(function () {
  var pay = document.getElementById("pay");
  function call() {
    WeixinJSBridge.invoke("getBrandWCPayRequest", JSON.parse(pay.dataset.call), function (answer) {
      if (answer.err_msg === "get_brand_wcpay_request:ok") location.replace(pay.dataset.back);
    });
  }
  pay.onclick = function () { if (window.WeixinJSBridge) call(); };
  if (window.WeixinJSBridge) call(); else document.addEventListener("WeixinJSBridgeReady", call, false);
})();
